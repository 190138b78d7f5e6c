/** The ring of an installation, through the admin API that operators use. */
import { setTimeout as delay } from 'node:timers/promises';

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
  readonly progress: {
    readonly rows: number;
    readonly bytes: number;
    readonly rounds: number;
    /** The mover's own measure: from the commit of the fence to that of the activation. */
    readonly stall_ms?: number;
    readonly fenced_at?: string;
    readonly activated_at?: string;
  };
  readonly started_at?: string;
  readonly ended_at?: string;
}

export interface Ring {
  /** Makes a shard a member, which owns nothing yet; its address is in the shards file. */
  readonly add: (shard: string) => Promise<void>;
  /** A plan for the members as they are, which moves nothing yet. */
  readonly preview: () => Promise<Plan>;
  readonly start: (plan: Plan) => Promise<void>;
  /** Starts to move every slot away from a shard. */
  readonly drain: (shard: string) => Promise<Plan>;
  /** Removes a member that owns nothing. */
  readonly remove: (shard: string) => Promise<void>;
  /** Resolves when all moves of the plan are done. @throws Error where it is aborted. */
  readonly done: (plan: Plan) => Promise<void>;
  /** The owner of each slot. */
  readonly owners: () => Promise<readonly string[]>;
  readonly move: (slot: number, target: string) => Promise<Move>;
  readonly moves: (filter: { readonly plan?: string; readonly open?: boolean }) => Promise<readonly Move[]>;
  readonly read: (move: Pick<Move, 'id'>) => Promise<Move>;
  /** Resolves with the move once it is so. @throws Error where it is turned back instead. */
  readonly until: (move: Pick<Move, 'id'>, is: (move: Move) => boolean) => Promise<Move>;
}

const POLL_MS = 100;
const PLAN_TIMEOUT_MS = 10 * 60_000;
const MOVE_TIMEOUT_MS = 60 * 60_000;

export function createRing({ url, token }: { readonly url: string; readonly token: string }): Ring {
  async function ask<T>(method: string, path: string, body?: object): Promise<T> {
    const headers = { 'authorization': `Bearer ${token}`, 'content-type': 'application/json' };
    const answer = await fetch(`${url}${path}`, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path} was answered ${answer.status}: ${text}`);
    return (text === '' ? {} : JSON.parse(text)) as T;
  }

  const read = ({ id }: Pick<Move, 'id'>) => ask<Move>('GET', `/v1/moves/${id}`);
  return {
    add: (shard) => ask('POST', '/v1/shards', { shard }),
    preview: () => ask('POST', '/v1/plans', {}),
    start: ({ id }) => ask('POST', `/v1/plans/${id}/start`),
    drain: (shard) => ask('POST', `/v1/shards/${shard}/drain`, {}),
    remove: (shard) => ask('DELETE', `/v1/shards/${shard}`),
    done: async ({ id }) => {
      const { state } = await poll(`plan ${id}`, PLAN_TIMEOUT_MS, () => ask<Plan>('GET', `/v1/plans/${id}`), (plan) => plan.state === 'done' || plan.state === 'aborted');
      if (state !== 'done') throw new Error(`plan ${id} is ${state}`);
    },
    owners: async () => (await ask<{ owners: readonly string[] }>('GET', '/v1/topology')).owners,
    move: (slot, target) => ask('POST', '/v1/moves', { slot, target }),
    moves: async (filter) => {
      const query = new URLSearchParams(Object.fromEntries(Object.entries(filter).map(([name, value]) => [name, String(value)])));
      return (await ask<{ moves: readonly Move[] }>('GET', `/v1/moves?${query}`)).moves;
    },
    read,
    until: async (move, is) => {
      const end = await poll(`move ${move.id}`, MOVE_TIMEOUT_MS, () => read(move), (now) => is(now) || isTurnedBack(now));
      if (isTurnedBack(end)) throw new Error(`move ${end.id} of slot ${end.slot} is ${end.state}: ${end.error ?? 'without an error'}`);
      return end;
    },
  };
}

/** When it came to that, in milliseconds since 1970. @throws Error where it did not. */
export function atMsOf(move: Move, what: 'started' | 'fenced' | 'activated' | 'ended'): number {
  const { started_at: started, ended_at: ended, progress } = move;
  const text = { started, ended, fenced: progress.fenced_at, activated: progress.activated_at }[what];
  if (text === undefined) throw new Error(`move ${move.id} is ${move.phase}: it is not ${what}`);
  return Date.parse(text);
}

function isTurnedBack({ state }: Move): boolean {
  return state === 'aborting' || state === 'aborted';
}

async function poll<T>(what: string, timeoutMs: number, look: () => Promise<T>, is: (seen: T) => boolean): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const seen = await look();
    if (is(seen)) return seen;
    if (performance.now() > deadline) throw new Error(`${what} does not come to its end: ${JSON.stringify(seen)}`);
    await delay(POLL_MS);
  }
}
