/**
 * Sagas once more, written down as plainly as possible: what each record of the stream does to the sagas of a slot. It
 * shares nothing with the steps that it is compared with.
 *
 * A saga asks all its participants to hold. Once all hold, it asks all to confirm: from there it only goes forward. One
 * refusal, the deadline or a cancel before that, and it asks for a release instead. An answer counts once: where the
 * saga waits for it, in the state that asked.
 */
import { formatAmount, INTERNAL_KEY_PREFIX, parseAmount, tenantOf } from '@millrace/write';
import type { ParticipantKind } from './command.ts';
import type { Message } from './message.ts';
import type { Answer, Facts, Place, StreamRules } from './rules.ts';
import { readSagaEvent, type OrderStart, type Refusal, type Reply, type ReturnStart, type SagaEvent, type TransferStart } from './saga-body.ts';

export type SagaState = 'reserving' | 'confirming' | 'undoing' | 'confirmed' | 'rejected' | 'cancelled';
export type SagaKind = 'order' | 'return' | 'transfer';

export interface SagaPart {
  readonly kind: ParticipantKind;
  readonly id: string;
  readonly direction: 'out' | 'in';
  /** An amount as text, or whole units of stock. */
  readonly amount: string;
  /** Null for stock. */
  readonly currency: string | null;
}

export interface ModelSaga {
  readonly kind: SagaKind;
  readonly key: string;
  readonly name: string;
  readonly parts: readonly SagaPart[];
  /** Units of lines of the order, taken for a return. */
  readonly claim: readonly Claim[];
  readonly dueMs: number;
  readonly history: { readonly state: SagaState; readonly atMs: number }[];
  state: SagaState;
  /** Indexes of parts. */
  waiting: readonly number[];
  attempt: number;
  /** Of one that is undone, or about to be. */
  ends: 'rejected' | 'cancelled' | null;
  cause: Refusal | null;
  /** Of an order: units of each line that were returned, or are about to be. */
  returned: number[] | null;
  /** Where it ended. */
  endedAt: bigint | null;
}

interface Claim {
  readonly line: number;
  readonly quantity: number;
}

/** The sagas of one slot, by key and name with a blank between. */
export type SagaModel = Map<string, ModelSaga>;

const RETURN_DEADLINE_SECONDS = 900;
const NAMED_MAX = 5;
const OK: Answer = { code: null };
const ASKS = { reserving: 'hold', confirming: 'confirm', undoing: 'release' } as const;

export function sagaName(key: string, name: string): string {
  return `${key} ${name}`;
}

export function isOpen({ state }: { readonly state: string }): boolean {
  return state === 'reserving' || state === 'confirming' || state === 'undoing';
}

/** The stream `sagas` over a model. */
export function sagasRules(model: SagaModel): StreamRules {
  return {
    stream: 'sagas',
    read({ type, data, idempotencyKey }) {
      const event = readSagaEvent(type, data, idempotencyKey);
      return event && ((at) => applyEvent(model, at, event));
    },
  };
}

function applyEvent(model: SagaModel, at: Place, event: SagaEvent): Answer | 'parked' {
  const saga = model.get(sagaName(at.key, event.saga));
  switch (event.op) {
    case 'order':
      return saga === undefined ? begin(model, at, { kind: 'order', name: 'order', parts: partsOfOrder(event), seconds: event.deadlineSeconds }) : { code: 'order_exists' };
    case 'transfer':
      return saga === undefined ? begin(model, at, { kind: 'transfer', name: 'transfer', parts: partsOfTransfer(event), seconds: event.deadlineSeconds }) : { code: 'transfer_exists' };
    case 'return':
      return saga === undefined ? beginReturn(model, at, event) : { code: 'return_exists' };
    case 'reply':
      return saga === undefined ? { code: 'unknown_order' } : reply(model, at, saga, event);
    case 'timeout':
      return saga === undefined ? { code: 'unknown_order' } : timeout(model, at, saga, event.dueMs);
    case 'cancel':
      return saga === undefined ? { code: 'unknown_order' } : cancel(model, at, saga, event.by);
    case 'retry':
      return saga === undefined ? { code: 'unknown_order' } : retry(at, saga);
  }
}

function partsOfOrder({ account, currency, total, stock }: OrderStart): readonly SagaPart[] {
  const units = stock.map(({ sku, quantity }) => ({ kind: 'stock', id: sku, direction: 'out', amount: String(quantity), currency: null }) as const);
  return [{ kind: 'account', id: account, direction: 'out', amount: total, currency }, ...units];
}

function partsOfTransfer({ from, to, amount, currency }: TransferStart): readonly SagaPart[] {
  return [
    { kind: 'account', id: from, direction: 'out', amount, currency },
    { kind: 'account', id: to, direction: 'in', amount, currency },
  ];
}

interface Beginning {
  readonly kind: SagaKind;
  readonly name: string;
  readonly parts: readonly SagaPart[];
  readonly seconds: number;
  readonly claim?: readonly Claim[];
}

function begin(model: SagaModel, at: Place, { kind, name, parts, seconds, claim = [] }: Beginning): Answer {
  const saga: ModelSaga = {
    kind,
    key: at.key,
    name,
    parts,
    claim,
    dueMs: at.atMs + seconds * 1000,
    history: [],
    state: 'reserving',
    waiting: everyPart(parts),
    attempt: 0,
    ends: null,
    cause: null,
    returned: null,
    endedAt: null,
  };
  model.set(sagaName(at.key, name), saga);
  enter(saga, at, 'reserving');
  return told(saga, at);
}

function beginReturn(model: SagaModel, at: Place, event: ReturnStart): Answer | 'parked' {
  const order = model.get(sagaName(at.key, 'order'));
  if (order?.state !== 'confirmed') return { code: 'not_confirmed' };
  const left = event.bought.map(({ quantity }, line) => quantity - (order.returned?.[line] ?? 0));
  const wanted = new Map<string, number>();
  for (const { sku, quantity } of event.lines) wanted.set(sku, (wanted.get(sku) ?? 0) + quantity);
  const claim: Claim[] = [];
  let refund = 0n;
  for (const [sku, quantity] of wanted) {
    let missing = quantity;
    if (!event.bought.some((line) => line.sku === sku)) return { code: 'unknown_line', facts: { sku } };
    for (const [line, { sku: own, price }] of event.bought.entries()) {
      const units = own === sku ? Math.min(missing, left[line] ?? 0) : 0;
      if (units <= 0) continue;
      const priceUnits = parseAmount(price, event.currency);
      if (priceUnits === undefined) return 'parked';
      claim.push({ line, quantity: units });
      refund += priceUnits * BigInt(units);
      missing -= units;
    }
    if (missing > 0) return { code: 'exceeds_bought', facts: { sku, left: String(quantity - missing) } };
  }
  order.returned ??= event.bought.map(() => 0);
  for (const { line, quantity } of claim) order.returned[line] = (order.returned[line] ?? 0) + quantity;
  const money: SagaPart = { kind: 'account', id: event.account, direction: 'in', amount: formatAmount(refund, event.currency), currency: event.currency };
  const stock = [...wanted].map(([id, quantity]): SagaPart => ({ kind: 'stock', id, direction: 'in', amount: String(quantity), currency: null }));
  return begin(model, at, { kind: 'return', name: event.saga, parts: [money, ...stock], seconds: RETURN_DEADLINE_SECONDS, claim });
}

function reply(model: SagaModel, at: Place, saga: ModelSaga, { kind, id, phase, refusal }: Reply): Answer {
  const part = saga.parts.findIndex((own) => own.kind === kind && own.id === id);
  if (!isOpen(saga) || ASKS[saga.state as keyof typeof ASKS] !== phase || !saga.waiting.includes(part)) return OK;
  if (refusal !== null) {
    if (saga.state !== 'reserving') return OK;
    // Who refused holds nothing, unless it was asked more than once.
    const asked = everyPart(saga.parts).filter((index) => index !== part || saga.attempt > 0);
    return undo(model, at, saga, { asked, ends: 'rejected', cause: refusal });
  }
  saga.waiting = saga.waiting.filter((index) => index !== part);
  if (saga.waiting.length > 0) return OK;
  if (saga.state === 'reserving') {
    saga.waiting = everyPart(saga.parts);
    enter(saga, at, 'confirming');
  } else end(model, at, saga, saga.ends ?? 'confirmed');
  return told(saga, at);
}

function timeout(model: SagaModel, at: Place, saga: ModelSaga, dueMs: number): Answer {
  if (saga.state !== 'reserving' || saga.dueMs !== dueMs || at.atMs < dueMs) return OK;
  const names = saga.parts.filter((_, index) => saga.waiting.includes(index)).map(({ kind, id }) => `${kind}/${id}`);
  const more = names.length > NAMED_MAX ? ` and ${names.length - NAMED_MAX} more` : '';
  const cause = { code: 'deadline_passed', detail: { waited_for: names.slice(0, NAMED_MAX).join(', ') + more } };
  return undo(model, at, saga, { asked: everyPart(saga.parts), ends: 'rejected', cause });
}

function cancel(model: SagaModel, at: Place, saga: ModelSaga, by: 'client' | 'operator'): Answer {
  if (saga.state === 'confirming' || saga.state === 'confirmed') return { code: 'too_late' };
  if (saga.ends !== null) return { code: saga.ends === 'cancelled' ? 'already_cancelled' : 'already_rejected' };
  return undo(model, at, saga, { asked: everyPart(saga.parts), ends: 'cancelled', cause: { code: `cancelled_by_${by}` } });
}

function retry(at: Place, saga: ModelSaga): Answer {
  if (!isOpen(saga)) return { code: 'already_ended' };
  saga.attempt += 1;
  return told(saga, at);
}

interface Undoing {
  readonly asked: readonly number[];
  readonly ends: 'rejected' | 'cancelled';
  readonly cause: Refusal;
}

function undo(model: SagaModel, at: Place, saga: ModelSaga, { asked, ends, cause }: Undoing): Answer {
  Object.assign(saga, { waiting: asked, ends, cause });
  enter(saga, at, 'undoing');
  if (asked.length === 0) end(model, at, saga, ends);
  return told(saga, at);
}

function end(model: SagaModel, at: Place, saga: ModelSaga, state: 'confirmed' | 'rejected' | 'cancelled'): void {
  saga.waiting = [];
  saga.endedAt = at.offset;
  enter(saga, at, state);
  const order = model.get(sagaName(saga.key, 'order'));
  if (state === 'confirmed' || !order?.returned) return;
  for (const { line, quantity } of saga.claim) order.returned[line] = (order.returned[line] ?? 0) - quantity;
}

function enter(saga: ModelSaga, { atMs }: Place, state: SagaState): void {
  saga.state = state;
  saga.history.push({ state, atMs });
}

function everyPart(parts: readonly SagaPart[]): readonly number[] {
  return parts.map((_, index) => index);
}

/** A transition as the journal tells it, with what the saga asks for now. */
function told(saga: ModelSaga, at: Place): Answer {
  const facts: Facts = { saga: saga.name, state: saga.state, after_ms: String(at.atMs - (saga.history[0]?.atMs ?? at.atMs)) };
  const tries: Facts = saga.attempt > 0 && isOpen(saga) ? { attempt: String(saga.attempt) } : {};
  const cause: Facts = saga.cause === null ? {} : { reason: saga.cause.code, ...saga.cause.detail };
  const messages = messagesOf(saga);
  return { code: null, facts: { ...facts, ...tries, ...cause }, ...(messages.length > 0 ? { messages } : {}) };
}

function messagesOf({ key, name, state, parts, waiting, attempt }: ModelSaga): readonly Message[] {
  if (!isOpen({ state })) return [];
  const phase = ASKS[state as keyof typeof ASKS];
  const from = `${key}/${name}`;
  const again = attempt === 0 ? '' : `#${attempt}`;
  return parts.flatMap((part, index): readonly Message[] => {
    if (!waiting.includes(index)) return [];
    const { kind, id, direction, amount, currency } = part;
    const idempotencyKey = `${INTERNAL_KEY_PREFIX}${from}/${kind}/${phase}${again}`;
    const terms = phase !== 'hold' ? {} : kind === 'account' ? { direction, amount, currency } : { direction, quantity: Number(amount) };
    const data = { [kind === 'account' ? 'account' : 'sku']: id, saga: from, attempt, ...terms };
    return [{ stream: 'writes', key: `${tenantOf(key)}/${id}`, type: `${kind}.${phase}`, idempotencyKey, data }];
  });
}
