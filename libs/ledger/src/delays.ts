/**
 * What keeps a saga of a slot from its end and is no saga's row: a start that has begun none, and a key that waits for
 * an operator. A message can be relayed and delivered, and lie parked: then nothing is on its way, and nothing ends.
 */
import { digestOf, type Stream } from '@millrace/write';
import type { SlotFold } from './fold.ts';
import { isCommand } from './message.ts';
import { startKey } from './model.ts';
import { typeOf } from './record.ts';
import { sagaName } from './saga-model.ts';
import type { SlotLedger } from './slot-ledger.ts';

/** An order, a return or a transfer that was taken, and whose saga has not begun. */
export interface Unbegun {
  readonly of: 'orders' | 'returns' | 'transfers';
  readonly key: string;
  /** Of the write in stream `writes`; an order has one alone. */
  readonly offset?: bigint;
}

/** A parked key behind which a record of a saga waits. */
export interface ParkedKey {
  readonly stream: Stream;
  readonly key: string;
  /** Of the record in front. */
  readonly offset: bigint;
  readonly records: number;
}

/** Nothing where the log of stream `sagas` no longer reaches back to its start: then nobody knows. */
export function unbegunOf({ folds, model, sagas }: Pick<SlotLedger, 'folds' | 'model' | 'sagas'>): readonly Unbegun[] {
  if (folds.sagas.ends.low > 0n) return [];
  const orders = [...model.orders.keys()].filter((key) => !sagas.has(sagaName(key, 'order')));
  // A start that was refused has its answer in the journal as well, and so has one that an operator skipped.
  const others = model.sent.filter(({ key, offset }) => folds.sagas.rowOf(digestOf(key, startKey(offset))) === undefined);
  return [...orders.map((key): Unbegun => ({ of: 'orders', key })), ...others];
}

/** All parked keys of stream `sagas`, and of stream `writes` those with a command of a saga. */
export function parkedKeysOf({ folds }: Pick<SlotLedger, 'folds'>): readonly ParkedKey[] {
  return [...parkedIn('writes', folds.writes, isCommand), ...parkedIn('sagas', folds.sagas, () => true)];
}

function parkedIn(stream: Stream, fold: SlotFold, isOfSaga: (type: string) => boolean): readonly ParkedKey[] {
  return [...fold.parked].flatMap(([key, queue]) => {
    const [head] = queue;
    return head !== undefined && queue.some(({ reading }) => isOfSaga(typeOf(reading))) ? [{ stream, key, offset: head.reading.offset, records: queue.length }] : [];
  });
}
