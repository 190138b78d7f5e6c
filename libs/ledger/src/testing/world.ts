/** A clean world for tests of the checker, whose rows a test may spoil. */
import { slotOf } from '@millrace/ring';
import { must, type ShardId } from '@millrace/write';
import { simulate, type Step, type World } from './simulate.ts';
import { authorize, cancel, capture, deposit, invalid, open, place, receive } from './steps.ts';
import type { AccountRow, HoldRow, JournalRow, OrderRow, ParkedRow, PaymentRow, SagaRow, SlotRows, StockRow, StreamRows } from '../snapshot.ts';

export const A = 'a' as ShardId;
export const B = 'b' as ShardId;
export const OWNERS = [A, B, A, B];

type Mutable<T> = { -readonly [Field in keyof T]: T[Field] };
export interface MutableStream {
  position: Mutable<NonNullable<StreamRows['position']>> | null;
  journal: Mutable<JournalRow>[];
  parked: Mutable<ParkedRow>[];
}
export interface MutableRows {
  slotState: Mutable<NonNullable<SlotRows['slotState']>> | null;
  streams: { writes: MutableStream; sagas: MutableStream };
  accounts: Mutable<AccountRow>[];
  payments: Mutable<PaymentRow>[];
  orders: Mutable<OrderRow>[];
  stock: Mutable<StockRow>[];
  holds: Mutable<HoldRow>[];
  sagas: Mutable<SagaRow>[];
}

export const HISTORY: readonly Step[] = [
  open('acc-1'),
  deposit('acc-1', '10.00'),
  authorize('acc-1', 'pay-1', '7.00'),
  deposit('acc-1', '5.00', { idempotencyKey: 'again' }),
  deposit('acc-1', '5.00', { idempotencyKey: 'again' }),
  deposit('acc-1', '6.00', { idempotencyKey: 'again' }),
  capture('acc-1', 'pay-1'),
  authorize('acc-1', 'pay-2', '99.00'),
  receive('sku-1', 40),
  receive('sku-1', 2),
  place('ord-1'),
  cancel('ord-1'),
  open('acc-2'),
  invalid('acc-2'),
  deposit('acc-2', '1.00'),
];

/** `at` gives the rows of the slot that an id lies in. */
export function worldOf(steps: readonly Step[] = HISTORY): { world: World; at: (id: string) => MutableRows; slot: (id: string) => number; shard: (id: ShardId) => Map<number, MutableRows> } {
  const world = simulate(steps, OWNERS);
  const slot = (id: string): number => slotOf(`demo/${id}`, OWNERS.length);
  const shard = (id: ShardId): Map<number, MutableRows> => must(world.shards.find((snapshot) => snapshot.shard === id), 'the world has the shard').slots as unknown as Map<number, MutableRows>;
  const at = (id: string): MutableRows => must(shard(must(OWNERS[slot(id)], 'a slot has an owner')).get(slot(id)), 'the owner holds the slot');
  return { world, slot, shard, at };
}

export function rowOf(rows: MutableRows, type: string, index = 0): Mutable<JournalRow> {
  return must(rows.streams.writes.journal.filter((row) => row.type === type)[index], `the journal has row ${index} of ${type}`);
}

export function structuredCloneOf(rows: SlotRows): MutableRows {
  const stream = (): MutableStream => ({ position: null, journal: [], parked: [] });
  return { ...rows, streams: { writes: stream(), sagas: stream() }, accounts: [], payments: [], orders: [], stock: [], holds: [], sagas: [] };
}
