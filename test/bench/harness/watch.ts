/** How slots advance, seen from outside: their positions on every shard, asked every few milliseconds. */
import { setTimeout as delay } from 'node:timers/promises';
import { openClient } from './postgres.ts';

/** The newest position of a slot over all shards, from when on it was seen. */
export interface Advance {
  /** In milliseconds since 1970. */
  readonly atMs: number;
  readonly position: number;
}

export interface Watched {
  /** By slot. */
  readonly advances: ReadonlyMap<number, readonly Advance[]>;
  /** From one look at all shards to the next. */
  readonly lookMs: readonly number[];
  /** When the last look was over, in milliseconds since 1970. */
  readonly untilMs: number;
}

export interface Watch {
  /** Looks at these slots as well from now on. */
  readonly follow: (slots: readonly number[]) => void;
  readonly stop: () => Promise<Watched>;
}

const LOOK_EVERY_MS = 5;
/** One row, which costs less to send and to read than one a slot. */
const LOOK = {
  name: 'look',
  text: `select string_agg(slot || ' ' || next_offset, ',') as seen from position where stream = 'writes' and slot = any($1::int[])`,
};

/** Each shard's tables are there. */
export async function watchSlots(urls: readonly string[]): Promise<Watch> {
  const clients = await Promise.all(urls.map(openClient));
  const advances = new Map<number, Advance[]>();
  const lookMs: number[] = [];
  let stopped = false;

  async function look(): Promise<void> {
    const slots = [...advances.keys()];
    const answers = await Promise.all(clients.map((client) => client.query<{ seen: string | null }>({ ...LOOK, values: [slots] })));
    const atMs = nowMs();
    for (const { rows } of answers) for (const { slot, position } of parse(rows[0]?.seen ?? '')) note(advances.get(slot), { atMs, position });
  }

  async function lookOnAndOn(): Promise<void> {
    while (!stopped) {
      const startedAtMs = nowMs();
      await look();
      await delay(Math.max(0, LOOK_EVERY_MS - (nowMs() - startedAtMs)));
      lookMs.push(nowMs() - startedAtMs);
    }
  }

  const looking = lookOnAndOn();
  looking.catch(() => undefined);
  return {
    follow: (slots) => {
      for (const slot of slots) if (!advances.has(slot)) advances.set(slot, []);
    },
    stop: async () => {
      stopped = true;
      await looking;
      await look();
      const untilMs = nowMs();
      await Promise.all(clients.map((client) => client.end()));
      return { advances, lookMs, untilMs };
    },
  };
}

/** A shard that the slot has left stays behind. */
function note(seen: Advance[] | undefined, now: Advance): void {
  if (now.position > (seen?.at(-1)?.position ?? -1)) seen?.push(now);
}

function parse(text: string): readonly { readonly slot: number; readonly position: number }[] {
  return text === '' ? [] : text.split(',').map((pair) => {
    const [slot, position] = pair.split(' ').map(Number);
    return { slot: slot ?? Number.NaN, position: position ?? Number.NaN };
  });
}

function nowMs(): number {
  return performance.timeOrigin + performance.now();
}
