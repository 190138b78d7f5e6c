/** The admin API of the ring-manager. Every method @throws ApiProblem, ApiSilent */
import { z } from 'zod';

import {
  auditSchema,
  epochsSchema,
  leaderSchema,
  moveSchema,
  movesSchema,
  planSchema,
  plansSchema,
  shardSchema,
  shardsSchema,
  topologySchema,
  verifiedSchema,
  type AuditEntry,
  type EpochEntry,
  type Leader,
  type LoadBy,
  type Member,
  type Move,
  type Plan,
  type PlanSummary,
  type TopologyAnswer,
  type Verified,
} from './admin-schema.ts';
import { call, type Call, type Endpoint } from '../api/call.ts';

/** A wish: of a shard that is no member, that it joins. */
export interface MemberChange {
  readonly shard: string;
  readonly weight?: number | undefined;
  readonly state?: 'active' | 'draining';
}

export interface PlanWish {
  readonly by?: LoadBy | undefined;
  readonly changes?: readonly MemberChange[];
  readonly reverse_of?: string | undefined;
}

export type Steer = 'pause' | 'resume' | 'abort';

export interface AdminClient {
  topology(): Promise<TopologyAnswer>;
  epochs(limit: number): Promise<readonly EpochEntry[]>;
  shards(): Promise<readonly Member[]>;
  changeShard(change: MemberChange): Promise<Member>;
  /** The shard must own nothing. */
  deleteShard(shard: string): Promise<void>;
  /** The plan runs. */
  drain(shard: string, by?: LoadBy): Promise<Plan>;
  /** A preview: changes nothing. */
  makePlan(wish: PlanWish): Promise<Plan>;
  /** Newest first. */
  plans(limit?: number): Promise<readonly PlanSummary[]>;
  plan(id: string): Promise<Plan>;
  startPlan(id: string): Promise<Plan>;
  steerPlan(id: string, how: Steer): Promise<Plan>;
  moves(which: { readonly plan?: string; readonly open?: true }): Promise<readonly Move[]>;
  move(id: string): Promise<Move>;
  makeMove(slot: number, target: string): Promise<Move>;
  steerMove(id: string, how: Steer): Promise<Move>;
  verifyMove(id: string): Promise<Verified>;
  audit(limit: number): Promise<readonly AuditEntry[]>;
  leader(): Promise<Leader>;
}

/** More than a cluster has slots. */
const MOVES_MAX = 5_000;
/** Of which some are under way. */
const PLANS_SEEN = 100;
const PLANS_MAX = 500;
/** By rate it watches the shards for a while; one that is down is waited for. */
const PLAN_TIMEOUT_MS = 120_000;
/** A full compare of rows. */
const VERIFY_TIMEOUT_MS = 3_600_000;

export function createAdminClient(endpoint: Endpoint): AdminClient {
  const get = <T>(path: string, answer: z.ZodType<T>): Promise<T> => call(endpoint, { method: 'GET', path, answer });
  const post = <T>(path: string, answer: z.ZodType<T>, rest: Partial<Call<T>> = {}): Promise<T> => call(endpoint, { method: 'POST', path, answer, ...rest });
  return {
    topology: () => get('/v1/topology', topologySchema),
    epochs: async (limit) => (await get(`/v1/topology/history?limit=${limit}`, epochsSchema)).epochs,
    shards: async () => (await get('/v1/shards', shardsSchema)).shards,
    changeShard: ({ shard, ...change }) => call(endpoint, { method: 'PATCH', path: `/v1/shards/${encodeURIComponent(shard)}`, body: change, answer: shardSchema }),
    deleteShard: async (shard) => void (await call(endpoint, { method: 'DELETE', path: `/v1/shards/${encodeURIComponent(shard)}`, answer: z.unknown() })),
    drain: (shard, by) => post(`/v1/shards/${encodeURIComponent(shard)}/drain`, planSchema, { body: { by }, timeoutMs: PLAN_TIMEOUT_MS }),
    makePlan: (wish) => post('/v1/plans', planSchema, { body: wish, timeoutMs: PLAN_TIMEOUT_MS }),
    plans: async (limit = PLANS_SEEN) => (await get(`/v1/plans?limit=${Math.min(limit, PLANS_MAX)}`, plansSchema)).plans,
    plan: (id) => get(`/v1/plans/${id}`, planSchema),
    startPlan: (id) => post(`/v1/plans/${id}/start`, planSchema),
    steerPlan: (id, how) => post(`/v1/plans/${id}/${how}`, planSchema),
    moves: async (which) => (await get(`/v1/moves${queryOf(which)}`, movesSchema)).moves,
    move: (id) => get(`/v1/moves/${id}`, moveSchema),
    makeMove: (slot, target) => post('/v1/moves', moveSchema, { body: { slot, target } }),
    steerMove: (id, how) => post(`/v1/moves/${id}/${how}`, moveSchema),
    verifyMove: (id) => post(`/v1/moves/${id}/verify`, verifiedSchema, { timeoutMs: VERIFY_TIMEOUT_MS }),
    audit: async (limit) => (await get(`/v1/audit?limit=${limit}`, auditSchema)).entries,
    leader: () => get('/v1/leader', leaderSchema),
  };
}

function queryOf({ plan, open }: { readonly plan?: string; readonly open?: true }): string {
  const query = new URLSearchParams({ limit: String(MOVES_MAX) });
  if (plan !== undefined) query.set('plan', plan);
  if (open !== undefined) query.set('open', 'true');
  return `?${query}`;
}
