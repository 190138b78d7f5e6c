/**
 * What the streams `writes` and `sagas` send each other. Every message has an idempotency key of its own, out of any
 * client's reach, so that it counts once however often it is relayed (S1).
 *
 *   writes -> sagas   a start or a cancel, from the write that asks for it (`toSaga`); a reply, from a participant
 *   sagas -> writes   a command to a participant: hold, confirm, release (`commandTo`)
 */
import { INTERNAL_KEY_PREFIX, must, routingKey, tenantOf, type RoutingKey } from '@millrace/write';
import { z } from 'zod';
import type { At, Facts, Message } from '../model.ts';
import type { RefusalCode } from '../refusals.ts';

export const ORDER_START = 'order.start';
export const RETURN_START = 'return.start';
export const TRANSFER_START = 'transfer.start';
export const SAGA_CANCEL = 'saga.cancel';
export const SAGA_REPLY = 'saga.reply';
export const SAGA_TIMEOUT = 'saga.timeout';
export const SAGA_RETRY = 'saga.retry';

/** How long a saga may take to reserve everything, where nothing else is asked for. */
export const DEADLINE_SECONDS = 900;
/** Well within the time for which Kafka keeps the records of a saga. */
export const DEADLINE_SECONDS_MAX = 7 * 24 * 60 * 60;

export const deadlineSeconds = z
  .int()
  .min(1)
  .max(DEADLINE_SECONDS_MAX)
  .meta({ description: `Seconds within which everything must be reserved; afterwards it is undone. ${DEADLINE_SECONDS} where absent.`, examples: [60] });

/** The idempotency key of the message that a write at an offset sends to the saga of its key: how its answer is found. */
export function followUpKey(offset: bigint): string {
  return `${INTERNAL_KEY_PREFIX}from/${offset}`;
}

/** From a write to the saga of its own key. */
export function toSaga(at: At, type: string, data: object): Message {
  return { stream: 'sagas', key: at.key, type, idempotencyKey: followUpKey(at.offset), data };
}

/** Whom a saga asks: an account or a stock item, by the id after the tenant. */
export type ParticipantKind = 'account' | 'stock';
/** `out`: from the participant; `in`: to it. */
export type Direction = 'out' | 'in';
/** Hold keeps it (escrow); confirm makes it final, release gives it back: both always succeed after a hold, and may come again. */
export type Phase = 'hold' | 'confirm' | 'release';

/** Where a command comes from, and so where its reply goes. */
export interface SagaRef {
  /** The routing key of the saga: an order's, or a transfer's. */
  readonly key: RoutingKey;
  /** Its name within the key: `order`, `return/<id>`, `transfer`. */
  readonly saga: string;
}

export interface Participant {
  readonly kind: ParticipantKind;
  readonly id: string;
}

/** The data of every command: by whom, and the attempt, which an operator's retry raises. */
export interface CommandData {
  readonly saga: string;
  readonly attempt: number;
}

/** The id by which people and holds name a saga: `tenant/order/order`, `tenant/order/return/r7`, `tenant/id/transfer`. */
export function sagaId({ key, saga }: SagaRef): string {
  return `${key}/${saga}`;
}

/** The saga that an id names; undefined where it names none. */
export function parseSagaId(id: string): SagaRef | undefined {
  const [tenant, name, ...rest] = id.split('/');
  const saga = rest.join('/');
  if (tenant === undefined || name === undefined || saga === '') return undefined;
  const key = `${tenant}/${name}`;
  return tenantOf(key) === undefined ? undefined : { key: key as RoutingKey, saga };
}

/** A command to a participant of a saga. `terms` is what a hold holds; empty for the others. */
export function commandTo(ref: SagaRef, participant: Participant, order: { readonly phase: Phase; readonly attempt: number; readonly terms: object }): Message {
  const { phase, attempt, terms } = order;
  const { kind, id } = participant;
  const key = routingKey(must(tenantOf(ref.key), 'a saga has a tenant'), id);
  const name = kind === 'account' ? { account: id } : { sku: id };
  const from = sagaId(ref);
  return {
    stream: 'writes',
    key,
    type: `${kind}.${phase}`,
    idempotencyKey: `${INTERNAL_KEY_PREFIX}${from}/${kind}/${phase}${suffix(attempt)}`,
    data: { ...name, saga: from, attempt, ...terms },
  };
}

/** Why a participant does not hold, and why a saga is undone. */
export interface Refusal {
  readonly code: RefusalCode;
  readonly detail?: Facts;
}

export function because(code: RefusalCode, detail: Facts): Refusal {
  return { code, detail };
}

export type ReplyOutcome = { readonly done: true } | ({ readonly done: false } & Refusal);

/** The answer of a participant to the saga that asked. */
export function replyTo(ref: SagaRef, participant: Participant, answer: { readonly phase: Phase; readonly attempt: number; readonly outcome: ReplyOutcome }): Message {
  const { phase, attempt, outcome } = answer;
  const { kind, id } = participant;
  const { done, ...refusal } = outcome;
  return {
    stream: 'sagas',
    key: ref.key,
    type: SAGA_REPLY,
    idempotencyKey: `${INTERNAL_KEY_PREFIX}${ref.saga}/${kind}/${id}/${phase}${suffix(attempt)}`,
    data: { saga: ref.saga, kind, id, phase, done, ...refusal },
  };
}

/** The first attempt has the shorter key. */
function suffix(attempt: number): string {
  return attempt === 0 ? '' : `#${attempt}`;
}
