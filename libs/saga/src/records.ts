/** The records of stream `sagas`: what each reads, and how it moves its saga. Pure. */
import {
  applied,
  commandTo,
  put,
  refused,
  saga as sagaTable,
  SAGA_CANCEL,
  SAGA_REPLY,
  SAGA_RETRY,
  SAGA_TIMEOUT,
  type At,
  type Decision,
  type Facts,
  type Message,
  type Ref,
  type Rows,
  type SagaRef,
} from '@millrace/domain';
import { assert } from '@millrace/write';
import { z } from 'zod';
import type { SagaDefinition } from './definition.ts';
import { orderSaga } from './order.ts';
import { returnSaga } from './return.ts';
import { rowOf, sagaOf } from './row.ts';
import { isOpen, type Part, type Saga } from './saga.ts';
import { begin, step, type Order, type SagaEvent } from './step.ts';
import { transferSaga } from './transfer.ts';

/** A type of record: as a write type, but keyed by what stands in the record alone. */
export interface SagaRecordType<D> {
  readonly type: string;
  readonly schema: z.ZodType<D>;
  reads(at: At, data: D): readonly Ref[];
  apply(rows: Rows, at: At, data: D): Decision;
}

/** Every kind of saga. A new one is one file and a line here. */
export const sagaDefinitions = [orderSaga, returnSaga, transferSaga] as readonly SagaDefinition<unknown>[];

const named = z.string().min(1).max(80);
const refusal = { code: z.string(), detail: z.record(z.string(), z.string()).optional() };
const reply = { saga: named, kind: z.enum(['account', 'stock']), id: z.string(), phase: z.enum(['hold', 'confirm', 'release']) };
const replySchema = z.discriminatedUnion('done', [z.strictObject({ ...reply, done: z.literal(true) }), z.strictObject({ ...reply, done: z.literal(false), ...refusal })]);

export const sagaRecordTypes: ReadonlyMap<string, SagaRecordType<unknown>> = new Map(
  (
    [
      ...sagaDefinitions.map(startOf),
      event(SAGA_REPLY, replySchema, ({ saga: _, ...answer }) => ({ type: 'reply', ...answer }) as SagaEvent),
      event(SAGA_TIMEOUT, z.strictObject({ saga: named, due_ms: z.int() }), ({ due_ms: dueMs }) => ({ type: 'timeout', dueMs })),
      event(SAGA_CANCEL, z.strictObject({ saga: named, by: z.enum(['client', 'operator']) }), ({ by }) => ({ type: 'cancel', by })),
      event(SAGA_RETRY, z.strictObject({ saga: named }), () => ({ type: 'retry' })),
    ] as readonly SagaRecordType<unknown>[]
  ).map((type) => [type.type, type]),
);

function startOf(definition: SagaDefinition<unknown>): SagaRecordType<unknown> {
  const { kind, start, schema, base, exists } = definition;
  return {
    type: start,
    schema,
    reads: (at, data) => readsOf(at, definition.name(data)),
    apply(rows, at, data) {
      const ref = { key: at.key, saga: definition.name(data) };
      if (rows.get(sagaTable, [ref.key, ref.saga])) return refused(exists);
      const begun = definition.begin(data, base && readSaga(rows, { key: at.key, saga: base.name }));
      if ('code' in begun) return refused(begun.code, begun.detail);
      const { parts, deadlineSeconds, claim } = begun;
      const { next, send } = begin({ kind, parts, dueMs: at.atMs + deadlineSeconds * 1_000, ...(claim ? { claim } : {}) }, at.atMs);
      const changes = [put(sagaTable, rowOf(ref, next))];
      if (base && begun.base) changes.push(put(sagaTable, rowOf({ key: at.key, saga: base.name }, begun.base)));
      return { outcome: 'applied', changes, detail: factsOf(ref, next, at), messages: messagesOf(ref, next, send) };
    },
  };
}

function event<D extends { readonly saga: string }>(type: string, schema: z.ZodType<D>, eventOf: (data: D) => SagaEvent): SagaRecordType<D> {
  return {
    type,
    schema,
    reads: (at, data) => readsOf(at, data.saga),
    apply(rows, at, data) {
      const ref = { key: at.key, saga: data.saga };
      const before = readSaga(rows, ref);
      // Of an order that was placed before there were sagas.
      if (!before) return refused('unknown_order');
      const result = step(before, eventOf(data), at.atMs);
      switch (result.is) {
        case 'late':
          return applied();
        case 'refused':
          return refused(result.code);
        case 'moved': {
          const { next, send } = result;
          const changes = [put(sagaTable, rowOf(ref, next)), ...givenBack(rows, ref, next)];
          const messages = messagesOf(ref, next, send);
          const isTold = next.state !== before.state || next.attempt !== before.attempt;
          return { outcome: 'applied', changes, ...(isTold ? { detail: factsOf(ref, next, at) } : {}), ...(messages.length > 0 ? { messages } : {}) };
        }
      }
    },
  };
}

/** What a saga that is undone had claimed from the one that it leans on. */
function givenBack(rows: Rows, ref: SagaRef, { state, kind, claim }: Saga) {
  if ((state !== 'rejected' && state !== 'cancelled') || !claim) return [];
  const { base } = definitionOf(kind);
  assert(base !== undefined, 'who claims leans on another saga');
  const baseRef = { key: ref.key, saga: base.name };
  const from = readSaga(rows, baseRef);
  assert(from?.state === 'confirmed', 'S4: what was claimed from is confirmed for good');
  return [put(sagaTable, rowOf(baseRef, base.giveBack(from, claim)))];
}

function definitionOf(kind: Saga['kind']): SagaDefinition<unknown> {
  const found = sagaDefinitions.find((definition) => definition.kind === kind);
  assert(found !== undefined, `there is a definition of ${kind}`);
  return found;
}

/** Its own row, and that of the saga it leans on. */
function readsOf(at: At, name: string): readonly Ref[] {
  const base = sagaDefinitions.find((definition) => definition.base && name.startsWith(`${definition.kind}/`))?.base;
  const own = { table: sagaTable, key: [at.key, name] };
  return base ? [own, { table: sagaTable, key: [at.key, base.name] }] : [own];
}

function readSaga(rows: Rows, { key, saga }: SagaRef): Saga | undefined {
  const row = rows.get(sagaTable, [key, saga]);
  return row && sagaOf(row);
}

function messagesOf(ref: SagaRef, { attempt }: Saga, orders: readonly Order[]): readonly Message[] {
  return orders.map(({ part, phase }) => commandTo(ref, part, { phase, attempt, terms: phase === 'hold' ? termsOf(part) : {} }));
}

function termsOf(part: Part): object {
  const { direction } = part;
  return part.kind === 'account' ? { direction, amount: part.amount, currency: part.currency } : { direction, quantity: part.quantity };
}

/** What a transition tells: to the journal, and from there to logs, metrics and the feed of outcomes. */
function factsOf({ saga }: SagaRef, next: Saga, at: At): Facts {
  const began = next.history[0]?.at_ms ?? at.atMs;
  const facts: Facts = { saga, state: next.state, after_ms: String(at.atMs - began) };
  return {
    ...facts,
    ...(isOpen(next) && next.attempt > 0 ? { attempt: String(next.attempt) } : {}),
    ...('cause' in next ? { reason: next.cause.code, ...next.cause.detail } : {}),
  };
}
