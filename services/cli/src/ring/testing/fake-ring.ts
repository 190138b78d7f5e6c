/** A ring-manager and a local supervisor of a test, behind their HTTP APIs: a plan ends when it has been looked at once. */
import { createServer, type IncomingMessage } from 'node:http';

import { parseJson, toJson } from '@millrace/wire';

import type { MemberChange } from '../admin-client.ts';
import type { Member, Move, Plan } from '../admin-schema.ts';
import { movedOf, planOf } from './facts.ts';

export interface FakeRing {
  readonly url: string;
  readonly members: Member[];
  /** Whose Postgres runs. */
  readonly postgres: string[];
  readonly plans: Plan[];
  /** The next answers are this, in place of the right ones. */
  fail: { times: number; readonly status: number; readonly body: unknown } | undefined;
  /** Plans do not end by themselves. */
  held: boolean;
  /** Plans end aborted. */
  turned: boolean;
  /** The next start takes place, and its answer is lost; so with the next removal. */
  lossy: boolean;
  /** No shard has an address. */
  unknown: boolean;
  close(): Promise<void>;
}

export const TOKEN = 'mra_of-the-fake-ring';

interface Answer {
  readonly status: number;
  readonly body?: unknown;
}

const refusal = (status: number, code: string): Answer => ({ status, body: { title: `Refused: ${code}`, code, detail: 'the fake says so', action: 'Do otherwise.' } });

export async function startFakeRing(shards: readonly string[]): Promise<FakeRing> {
  const members: Member[] = shards.map((shard) => ({ shard, state: 'active', weight: 1, slots: 32 }));
  const moves = new Map<string, readonly Move[]>();
  const ring = { url: '', members, postgres: [...shards], plans: [] as Plan[], fail: undefined as FakeRing['fail'], held: false, turned: false, lossy: false, unknown: false };

  const apply = ({ shard, weight, state }: MemberChange): void => {
    const before = members.find((member) => member.shard === shard);
    if (before === undefined) members.push({ shard, state: 'joining', weight: weight ?? 1, slots: 0 });
    else Object.assign(before, { weight: weight ?? before.weight, state: state ?? before.state });
  };
  const turn = (plan: Plan, state: Plan['state']): Plan => {
    const turned = { ...plan, state, progress: { ...plan.progress, done: state === 'done' ? plan.moves.length : 0 } };
    ring.plans[ring.plans.findIndex(({ id }) => id === plan.id)] = turned;
    return turned;
  };
  const end = (plan: Plan): void => {
    turn(plan, 'done');
    moves.set(plan.id, plan.moves.map(({ slot }) => movedOf(slot, { stallMs: 10 * slot })));
    for (const member of members) Object.assign(member, member.state === 'draining' ? { slots: 0 } : member.state === 'joining' ? { state: 'active', slots: 2 } : {});
  };
  const propose = (changes: readonly MemberChange[]): Plan => {
    const plan = planOf({
      id: String(ring.plans.length + 1),
      state: 'preview',
      changes: changes.map(({ shard, weight, state }) => ({ shard, weight, state })),
      moves: [1, 2].map((slot) => ({ slot, source: 'a', target: 'b', rows: 100, bytes: 1_000 })),
    });
    ring.plans.push(plan);
    return plan;
  };
  const lost = (right: Answer): Answer => {
    const isLost = ring.lossy;
    ring.lossy = false;
    return isLost ? refusal(503, 'control_unavailable') : right;
  };
  const start = (plan: Plan): Plan => {
    plan.changes.forEach((change) => apply(change as MemberChange));
    return turn(plan, 'running');
  };

  const answer = (method: string, url: URL, body: Record<string, unknown>): Answer => {
    const [, first, room = '', id = '', verb] = url.pathname.split('/');
    if (first === 'shards') return local(method, room, body);
    const member = members.find(({ shard }) => shard === id);
    const plan = ring.plans.find((one) => one.id === id);
    switch (`${method} ${room}${id === '' ? '' : '/id'}${verb === undefined ? '' : `/${verb}`}`) {
      case 'GET shards':
        return { status: 200, body: { shards: members } };
      case 'POST shards/id/drain':
        return member === undefined ? refusal(404, 'unknown_shard') : { status: 202, body: start(propose([{ shard: id, state: 'draining' }])) };
      case 'DELETE shards/id':
        if (member === undefined) return refusal(404, 'unknown_shard');
        if (member.slots > 0) return refusal(409, 'shard_owns_slots');
        members.splice(members.indexOf(member), 1);
        return lost({ status: 204 });
      case 'GET plans':
        return { status: 200, body: { plans: ring.plans.toReversed().map(({ moves: _, ...rest }) => rest) } };
      case 'POST plans':
        return { status: 201, body: propose((body['changes'] ?? []) as MemberChange[]) };
      case 'POST plans/id/start':
        if (ring.unknown) return refusal(404, 'unknown_shard');
        return plan === undefined ? refusal(404, 'unknown_plan') : lost({ status: 202, body: start(plan) });
      case 'POST plans/id/pause':
        return plan === undefined ? refusal(404, 'unknown_plan') : { status: 202, body: turn(plan, 'paused') };
      case 'GET plans/id':
        if (plan === undefined) return refusal(404, 'unknown_plan');
        if (plan.state === 'running' && ring.turned) turn(plan, 'aborted');
        else if (plan.state === 'running' && !ring.held) end(plan);
        return { status: 200, body: plan };
      case 'GET moves':
        return { status: 200, body: { moves: moves.get(url.searchParams.get('plan') ?? '') ?? [] } };
      default:
        return refusal(404, 'not_found');
    }
  };
  const local = (method: string, id: string, body: Record<string, unknown>): Answer => {
    if (method === 'GET') return { status: 200, body: { shards: ring.postgres.map((shard) => ({ id: shard })) } };
    if (method === 'POST') return { status: 201, body: { id: ring.postgres[ring.postgres.push(String(body['id'])) - 1] } };
    if (members.some(({ shard }) => shard === id)) return refusal(409, 'shard_is_member');
    ring.postgres.splice(ring.postgres.indexOf(id), 1);
    return { status: 200, body: { id, data: 'deleted' } };
  };

  const server = createServer((request, response) => {
    void readBody(request).then((body) => {
      const isKnown = request.headers.authorization === `Bearer ${TOKEN}`;
      const failing = ring.fail !== undefined && ring.fail.times-- > 0 ? ring.fail : undefined;
      const { status, body: said } = failing ?? (isKnown ? answer(request.method ?? '', new URL(request.url ?? '', ring.url), body) : refusal(401, 'unauthorized'));
      response.writeHead(status).end(said === undefined ? undefined : toJson(said));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const close = (): Promise<void> => new Promise((resolve) => (server.close(() => resolve()), server.closeAllConnections()));
  ring.url = `http://127.0.0.1:${port}`;
  return Object.assign(ring, { close });
}

async function readBody(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return chunks.length === 0 ? {} : (parseJson(Buffer.concat(chunks)) as Record<string, unknown>);
}
