/** A toy stream for tests: accounts in one table, writes that add to them, a type that always throws. */
import fc from 'fast-check';
import { applied, put, refused, type AnyTable, type At, type Message, type Row, type Table } from '@millrace/domain';
import { slotOf } from '@millrace/ring';
import { encodeWrite } from '@millrace/wire';
import type { Offset, Slot } from '@millrace/write';
import type { LoggedRecord, StreamModel } from '../model.ts';

type CounterRow = { readonly key: string; readonly total: bigint };

export const counter: Table<CounterRow> & AnyTable = {
  name: 'counter',
  stream: 'writes',
  key: ['key'],
  columns: { key: 'text', total: 'bigint' },
};

export const SLOTS = 4;

/** `add` adds, but refuses to go below zero; `send` adds and sends as many messages; `bad` has no valid data; `throws` fails in its reducer. */
export const toyModel: StreamModel = {
  stream: 'writes',
  isPublic: () => true,
  tables: [counter],
  command({ type, data }, at) {
    if (type === 'bad') return { poison: 'bad data' };
    const by = BigInt((data as { by: number }).by);
    return {
      type,
      reads: [{ table: counter, key: [at.key] }],
      apply(rows) {
        if (type === 'throws') throw new TypeError('a bug of the reducer');
        const total = (rows.get<CounterRow>(counter, [at.key])?.total ?? 0n) + by;
        if (total < 0n) return refused('insufficient_funds');
        const decision = applied(put(counter, { key: at.key, total }));
        return type === 'send' ? { ...decision, messages: new Array<Message>(Number(by)).fill(messageTo(at)) } : decision;
      },
    };
  },
};

function messageTo({ key }: At): Message {
  return { stream: 'sagas', key, type: 'toy', idempotencyKey: 'toy', data: {} };
}

export interface ToyWrite {
  readonly key: string;
  readonly type: string;
  readonly id: string;
  readonly by?: number;
}

/** The writes as records of their slots, with offsets from 0 in each. */
export function logOf(writes: readonly ToyWrite[]): readonly LoggedRecord[] {
  const next = new Map<Slot, bigint>();
  return writes.map(({ key, type, id, by = 1 }) => {
    const slot = slotOf(key, SLOTS);
    const offset = next.get(slot) ?? 0n;
    next.set(slot, offset + 1n);
    const data = type === 'parked.release' ? { action: id.startsWith('skip') ? 'skip' : 'retry' } : { by };
    return { slot, offset: offset as Offset, key, value: Buffer.from(encodeWrite({ type, idempotencyKey: id, data })), atMs: 1_700_000_000_000 };
  });
}

export function rowsOf(stored: ReadonlyMap<string, Row>): readonly Row[] {
  return [...stored.values()].sort((a, b) => (String(a['key']) < String(b['key']) ? -1 : 1));
}

const keys = ['demo/a', 'demo/b', 'demo/c', 'demo/d'];
/** Any write, with keys and idempotency keys that meet often. */
export const toyWrite: fc.Arbitrary<ToyWrite> = fc.record({
  key: fc.constantFrom(...keys),
  type: fc.oneof({ weight: 12, arbitrary: fc.constant('add') }, { weight: 1, arbitrary: fc.constantFrom('bad', 'throws') }, { weight: 2, arbitrary: fc.constant('parked.release') }),
  id: fc.oneof(fc.constantFrom('1', '2', '3', '4', '5', '6', '7', '8'), fc.constantFrom('skip-1', 'skip-2')),
  by: fc.integer({ min: -3, max: 5 }),
});
