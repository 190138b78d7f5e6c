/** How long the slots that moved were not applied, from what was seen of their positions and what their journals say. */
import type pg from 'pg';
import { withClients } from './postgres.ts';
import { atMsOf, type Move } from './ring.ts';
import { longestWaitMs, standsAround, type Span, type Stand } from './stands.ts';
import type { Advance, Watched } from './watch.ts';

/** Of one move, the longest wait of a record that was the slot's next one, in milliseconds. */
export type Stall = {
  /** The mover's own figure: from the commit of the fence to that of the activation. */
  readonly toldMs: number;
  /** Between the fence and the activation, or reaching into it. */
  readonly crossingMs: number;
  /** From a second before the fence to a second behind the activation. */
  readonly fenceMs: number;
  /** From the start of the move to a second behind the activation. */
  readonly moveMs: number;
  /** For as long as around the fence, just before the move: what is usual. Absent where that was not watched. */
  readonly beforeMs?: number;
};

export interface StallInput {
  /** Every shard: where a journal row is now does not matter. */
  readonly urls: readonly string[];
  readonly watched: Watched;
  readonly moves: readonly Move[];
  /** While writes came in: moves count that lie in it. */
  readonly load: Span;
}

const AROUND_MS = 1_000;

/** Everything that was written is applied. */
export function stallsOf({ urls, ...input }: StallInput): Promise<readonly Stall[]> {
  return withClients(urls, async (clients) => {
    const stalls: Stall[] = [];
    for (const move of input.moves) {
      const stall = await stallOf(clients, input, move);
      if (stall !== undefined) stalls.push(stall);
    }
    return stalls;
  });
}

async function stallOf(clients: readonly pg.Client[], { watched, load }: Pick<StallInput, 'watched' | 'load'>, move: Move): Promise<Stall | undefined> {
  const crossing = { fromMs: atMsOf(move, 'fenced'), toMs: atMsOf(move, 'activated') };
  const fence = { fromMs: crossing.fromMs - AROUND_MS, toMs: crossing.toMs + AROUND_MS };
  const startedAtMs = Math.min(atMsOf(move, 'started'), fence.fromMs);
  if (startedAtMs < load.fromMs || fence.toMs > load.toMs) return undefined;
  const advances = watched.advances.get(move.slot) ?? [];
  const longest = (span: Span) => longestWait(clients, move.slot, standsAround(advances, span, Math.min(load.toMs, watched.untilMs)));
  const before = { fromMs: startedAtMs - (fence.toMs - fence.fromMs), toMs: startedAtMs };
  return {
    toldMs: move.progress.stall_ms ?? Number.NaN,
    crossingMs: await longest(crossing),
    fenceMs: await longest(fence),
    moveMs: await longest({ fromMs: startedAtMs, toMs: fence.toMs }),
    ...(isWatched(advances, before) && before.fromMs >= load.fromMs ? { beforeMs: await longest(before) } : {}),
  };
}

function isWatched(advances: readonly Advance[], { fromMs }: Span): boolean {
  return (advances[0]?.atMs ?? Number.POSITIVE_INFINITY) <= fromMs;
}

async function longestWait(clients: readonly pg.Client[], slot: number, stands: readonly Stand[]): Promise<number> {
  return longestWaitMs(stands, await appendTimes(clients, slot, stands.map(({ position }) => position)));
}

/** When records came into the log, by offset: their journal rows keep it. */
async function appendTimes(clients: readonly pg.Client[], slot: number, offsets: readonly number[]): Promise<ReadonlyMap<number, number>> {
  const read = {
    name: 'append-times',
    text: `select "offset", at_ms from journal where slot = $1 and stream = 'writes' and "offset" = any($2::bigint[])`,
    values: [slot, offsets],
  };
  const answers = await Promise.all(clients.map((client) => client.query<{ offset: string; at_ms: string }>(read)));
  return new Map(answers.flatMap(({ rows }) => rows).map(({ offset, at_ms: atMs }) => [Number(offset), Number(atMs)]));
}
