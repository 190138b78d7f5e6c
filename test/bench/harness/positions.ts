/**
 * How far `writes` is applied. A slot that has moved leaves its old position behind, so of each slot the newest one of
 * all shards counts.
 */
import type pg from 'pg';
import { openClient } from './postgres.ts';

export interface Positions {
  /** Asks this shard, too, from now on; again is no harm. */
  readonly add: (shard: string, url: string) => Promise<void>;
  /** Records that the newest positions have passed, over all slots. */
  readonly applied: () => Promise<number>;
  /** Of one slot. */
  readonly of: (slot: number) => Promise<number>;
  readonly end: () => Promise<void>;
}

interface PositionRow {
  readonly slot: number;
  readonly next_offset: string;
}

const READ = { name: 'positions', text: `select slot, next_offset from position where stream = 'writes'` };

export async function createPositions(shards: Readonly<Record<string, string>>): Promise<Positions> {
  const clients = new Map<string, pg.Client>();
  const add = async (shard: string, url: string): Promise<void> => {
    if (!clients.has(shard)) clients.set(shard, await openClient(url));
  };
  for (const [shard, url] of Object.entries(shards)) await add(shard, url);

  async function newest(): Promise<ReadonlyMap<number, number>> {
    const bySlot = new Map<number, number>();
    const answers = await Promise.all([...clients.values()].map((client) => client.query<PositionRow>(READ)));
    for (const { slot, next_offset: next } of answers.flatMap(({ rows }) => rows)) bySlot.set(slot, Math.max(bySlot.get(slot) ?? 0, Number(next)));
    return bySlot;
  }

  return {
    add,
    applied: async () => [...(await newest()).values()].reduce((sum, next) => sum + next, 0),
    of: async (slot) => (await newest()).get(slot) ?? 0,
    end: async () => void (await Promise.all([...clients.values()].map((client) => client.end()))),
  };
}
