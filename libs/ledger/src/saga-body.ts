/** What a record of stream `sagas` asks for, by a validation of the checker's own. Ids in it are text of any kind. */
import { INTERNAL_KEY_PREFIX } from '@millrace/write';
import type { ParticipantKind } from './command.ts';
import { isObject, isWhole, only, readList, type Fields } from './fields.ts';
import type { Facts } from './rules.ts';

export type SagaEvent =
  | OrderStart
  | ReturnStart
  | TransferStart
  | Reply
  | { readonly op: 'timeout'; readonly saga: string; readonly dueMs: number }
  | { readonly op: 'cancel'; readonly saga: string; readonly by: 'client' | 'operator' }
  | { readonly op: 'retry'; readonly saga: string };

export interface Units {
  readonly sku: string;
  readonly quantity: number;
}

export interface OrderStart {
  readonly op: 'order';
  readonly saga: string;
  readonly account: string;
  readonly currency: string;
  readonly total: string;
  readonly stock: readonly Units[];
  readonly deadlineSeconds: number;
}

export interface ReturnStart {
  readonly op: 'return';
  readonly saga: string;
  readonly lines: readonly Units[];
  readonly account: string;
  readonly currency: string;
  readonly bought: readonly (Units & { readonly price: string })[];
}

export interface TransferStart {
  readonly op: 'transfer';
  readonly saga: string;
  readonly from: string;
  readonly to: string;
  readonly amount: string;
  readonly currency: string;
  readonly deadlineSeconds: number;
}

export interface Reply {
  readonly op: 'reply';
  readonly saga: string;
  readonly kind: ParticipantKind;
  readonly id: string;
  readonly phase: 'hold' | 'confirm' | 'release';
  /** Why it was refused; null where it is done. */
  readonly refusal: Refusal | null;
}

export interface Refusal {
  readonly code: string;
  readonly detail?: Facts;
}

const SAGA_NAME_LENGTH_MAX = 80;

/** The event that a record is; undefined where it is none. The stream takes records of Millrace alone. */
export function readSagaEvent(type: string, data: unknown, idempotencyKey: string): SagaEvent | undefined {
  if (!isObject(data) || !idempotencyKey.startsWith(INTERNAL_KEY_PREFIX)) return undefined;
  switch (type) {
    case 'order.start':
      return readOrder(data);
    case 'return.start':
      return readReturn(data);
    case 'transfer.start':
      return readTransfer(data);
    default:
      return isText(data.saga) && data.saga.length >= 1 && data.saga.length <= SAGA_NAME_LENGTH_MAX ? readStep(type, data.saga, data) : undefined;
  }
}

function readOrder(data: Fields): OrderStart | undefined {
  const { account, currency, total, deadline_seconds: deadlineSeconds } = data;
  if (!only(data, ['account', 'currency', 'total', 'stock', 'deadline_seconds'])) return undefined;
  const stock = readList(data.stock, Infinity, readUnits);
  if (!isText(account) || !isText(currency) || !isText(total) || stock === undefined || !isWhole(deadlineSeconds, 1)) return undefined;
  return { op: 'order', saga: 'order', account, currency, total, stock, deadlineSeconds };
}

function readReturn(data: Fields): ReturnStart | undefined {
  const { return: name, order } = data;
  if (!only(data, ['return', 'lines', 'order']) || !isText(name) || !isObject(order) || !only(order, ['account', 'currency', 'lines'])) return undefined;
  const { account, currency } = order;
  const lines = readList(data.lines, Infinity, readUnits);
  const bought = readList(order.lines, Infinity, (line) => {
    if (!isObject(line) || !only(line, ['sku', 'quantity', 'unit_price'])) return undefined;
    const { sku, quantity, unit_price: price } = line;
    return isText(sku) && isWhole(quantity, 1) && isText(price) ? { sku, quantity, price } : undefined;
  });
  if (!isText(account) || !isText(currency) || lines === undefined || bought === undefined) return undefined;
  return { op: 'return', saga: `return/${name}`, lines, account, currency, bought };
}

function readTransfer(data: Fields): TransferStart | undefined {
  const { from, to, amount, currency, deadline_seconds: deadlineSeconds } = data;
  if (!only(data, ['from', 'to', 'amount', 'currency', 'deadline_seconds'])) return undefined;
  if (!isText(from) || !isText(to) || !isText(amount) || !isText(currency) || !isWhole(deadlineSeconds, 1)) return undefined;
  return { op: 'transfer', saga: 'transfer', from, to, amount, currency, deadlineSeconds };
}

function readStep(type: string, saga: string, data: Fields): SagaEvent | undefined {
  switch (type) {
    case 'saga.reply':
      return readReply(saga, data);
    case 'saga.timeout':
      return only(data, ['saga', 'due_ms']) && isWhole(data.due_ms, Number.MIN_SAFE_INTEGER) ? { op: 'timeout', saga, dueMs: data.due_ms } : undefined;
    case 'saga.cancel':
      return only(data, ['saga', 'by']) && (data.by === 'client' || data.by === 'operator') ? { op: 'cancel', saga, by: data.by } : undefined;
    case 'saga.retry':
      return only(data, ['saga']) ? { op: 'retry', saga } : undefined;
    default:
      return undefined;
  }
}

function readReply(saga: string, data: Fields): Reply | undefined {
  const { kind, id, phase, done, code, detail } = data;
  if ((kind !== 'account' && kind !== 'stock') || !isText(id)) return undefined;
  if (phase !== 'hold' && phase !== 'confirm' && phase !== 'release') return undefined;
  const fields = ['saga', 'kind', 'id', 'phase', 'done'];
  if (done === true) return only(data, fields) ? { op: 'reply', saga, kind, id, phase, refusal: null } : undefined;
  if (done !== false || !only(data, [...fields, 'code'], ['detail']) || !isText(code)) return undefined;
  if (detail === undefined) return { op: 'reply', saga, kind, id, phase, refusal: { code } };
  return areFacts(detail) ? { op: 'reply', saga, kind, id, phase, refusal: { code, detail } } : undefined;
}

function readUnits(line: unknown): Units | undefined {
  if (!isObject(line) || !only(line, ['sku', 'quantity'])) return undefined;
  const { sku, quantity } = line;
  return isText(sku) && isWhole(quantity, 1) ? { sku, quantity } : undefined;
}

function areFacts(value: unknown): value is Facts {
  return isObject(value) && Object.values(value).every(isText);
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}
