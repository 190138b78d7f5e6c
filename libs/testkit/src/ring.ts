/** The ring of a test cluster: shards join and leave, slots move, through the APIs that operators use. */
import { parseJson, toJson } from '@millrace/wire';
import { assert } from '@millrace/write';
import type { LocalCluster } from '@millrace/local-cluster';
import { until } from './until.ts';

export interface Plan {
  readonly id: string;
  readonly state: 'preview' | 'running' | 'paused' | 'done' | 'aborting' | 'aborted';
  readonly moves: readonly { readonly slot: number; readonly source: string; readonly target: string }[];
}

export interface Move {
  readonly id: string;
  readonly slot: number;
  readonly source: string;
  readonly target: string;
  readonly state: 'planned' | 'running' | 'aborting' | 'done' | 'aborted';
  readonly phase: string;
  readonly error?: string;
  readonly progress: { readonly rows: number; readonly rounds: number; readonly stall_ms?: number };
}

export interface Member {
  readonly shard: string;
  readonly state: 'joining' | 'active' | 'draining';
  readonly weight: number;
  readonly slots: number;
}

export interface PlanWish {
  readonly by?: 'slots' | 'bytes' | 'rate';
  readonly changes?: readonly { readonly shard: string; readonly weight?: number; readonly state?: 'active' | 'draining' }[];
  readonly reverse_of?: string;
}

export interface RingAnswer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface Ring {
  members(): Promise<readonly Member[]>;
  /** By the newest topology. */
  slotsOf(shard: string): Promise<readonly number[]>;
  /** Starts the Postgres of each, makes all of them members by one plan, and waits for its end. */
  add(...shards: readonly string[]): Promise<Plan>;
  /** Moves its slots away, takes it out of the cluster and stops its Postgres. */
  remove(shard: string): Promise<Plan>;
  /** Makes a plan and starts it. */
  start(wish: PlanWish): Promise<Plan>;
  /** Resolves when the plan is over, with its moves as they ended. */
  ended(plan: Plan): Promise<Plan>;
  moves(plan: Plan): Promise<readonly Move[]>;
  move(slot: number, target: string): Promise<Move>;
  /** Resolves when the move is in one of these states. */
  untilMove(move: Pick<Move, 'id'>, ...states: readonly Move['state'][]): Promise<Move>;
  verify(move: Pick<Move, 'id'>): Promise<RingAnswer>;
  /** The instance that leads; undefined where no lease holds. */
  leader(): Promise<string | undefined>;
  /** Any request to a ring-manager that answers; the answer, whatever its status. */
  call(method: string, path: string, body?: unknown): Promise<RingAnswer>;
}

/** Of what a slow machine needs for a plan, too. */
const DEADLINE_MS = 480_000;
/** A ring-manager that is suspended takes connections and does not answer: a look is then had at the next one. */
const LOOK_MS = 2_000;
const CHANGE_MS = 60_000;
const ATTEMPTS_MAX = 10;

export function createRing(local: Pick<LocalCluster, 'file' | 'adminUrls'>): Ring {
  const { adminToken } = local.file;
  const bearer = { authorization: `Bearer ${adminToken}` };

  async function request(url: string, method: string, body?: unknown): Promise<RingAnswer> {
    const json = body === undefined ? {} : { body: toJson(body) };
    const headers = { ...bearer, ...(body === undefined ? {} : { 'content-type': 'application/json' }) };
    const response = await fetch(url, { method, headers, ...json, signal: AbortSignal.timeout(method === 'GET' ? LOOK_MS : CHANGE_MS) });
    const text = await response.text();
    return { status: response.status, body: (text === '' ? {} : parseJson(text)) as Record<string, unknown> };
  }

  async function call(method: string, path: string, body?: unknown): Promise<RingAnswer> {
    return until(`a ring-manager answers ${method} ${path}`, async () => {
      for (const url of local.adminUrls) {
        // A request that was perhaps served is sent again: what it asks for is refused the second time, or the same.
        const answer = await request(`${url}${path}`, method, body).catch(() => undefined);
        if (answer && answer.status < 500) return answer;
      }
      return undefined;
    });
  }

  async function ask<T>(method: string, path: string, body?: unknown): Promise<T> {
    const answer = await call(method, path, body);
    assert(answer.status < 300, `${method} ${path} is served, not refused: ${toJson(answer.body)}`);
    return answer.body as T;
  }

  async function start(wish: PlanWish): Promise<Plan> {
    for (let attempt = 1; ; attempt += 1) {
      const plan = await ask<Plan>('POST', '/v1/plans', wish);
      const started = await call('POST', `/v1/plans/${plan.id}/start`);
      // Another move ended in between, and with it the epoch that the plan was made for.
      if (started.status === 409 && started.body['code'] === 'plan_outdated' && attempt < ATTEMPTS_MAX) continue;
      assert(started.status < 300, `plan ${plan.id} starts: ${toJson(started.body)}`);
      return started.body as unknown as Plan;
    }
  }

  async function ended({ id }: Plan): Promise<Plan> {
    const isOver = ({ state }: Plan): boolean => state === 'done' || state === 'aborted';
    const look = async (): Promise<Plan | undefined> => ask<Plan>('GET', `/v1/plans/${id}`).then((plan) => (isOver(plan) ? plan : undefined));
    return until(`plan ${id} is over`, look, { deadlineMs: DEADLINE_MS });
  }

  return {
    call,
    start,
    ended,
    members: async () => (await ask<{ shards: readonly Member[] }>('GET', '/v1/shards')).shards,
    async slotsOf(shard) {
      const { owners } = await ask<{ owners: readonly string[] }>('GET', '/v1/topology');
      return owners.flatMap((owner, slot) => (owner === shard ? [slot] : []));
    },
    async add(...shards) {
      for (const id of shards) {
        const { status } = await request(`${local.file.local}/shards`, 'POST', { id });
        assert(status < 300, `the Postgres of shard ${id} starts`);
      }
      return ended(await start({ changes: shards.map((shard) => ({ shard })) }));
    },
    async remove(shard) {
      const plan = await ended(await ask<Plan>('POST', `/v1/shards/${shard}/drain`, {}));
      assert(plan.state === 'done', `shard ${shard} is drained, its plan is ${plan.state}`);
      await ask('DELETE', `/v1/shards/${shard}`);
      await until(`the Postgres of shard ${shard} stops`, async () => {
        const { status, body } = await request(`${local.file.local}/shards/${shard}`, 'DELETE');
        assert(status < 300 || body['code'] === 'membership_unknown', `the Postgres of shard ${shard} may stop: ${toJson(body)}`);
        return status < 300;
      });
      return plan;
    },
    moves: async ({ id }) => (await ask<{ moves: readonly Move[] }>('GET', `/v1/moves?plan=${id}`)).moves,
    move: (slot, target) => ask('POST', '/v1/moves', { slot, target }),
    async untilMove({ id }, ...states) {
      const look = async (): Promise<Move | undefined> => {
        const move = await ask<Move>('GET', `/v1/moves/${id}`);
        if (states.includes(move.state)) return move;
        assert(move.state !== 'done' && move.state !== 'aborted', `move ${id} is to be ${states.join(' or ')}, and ended ${move.state}: ${move.error}`);
        return undefined;
      };
      return until(`move ${id} is ${states.join(' or ')}`, look, { deadlineMs: DEADLINE_MS });
    },
    verify: ({ id }) => call('POST', `/v1/moves/${id}/verify`),
    leader: async () => (await ask<{ holder?: string }>('GET', '/v1/leader')).holder,
  };
}
