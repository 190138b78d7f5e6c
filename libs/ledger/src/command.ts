/** What a saga asks of a participant, by a validation of the checker's own. */
import { DECIMAL_PATTERN, tenantOf } from '@millrace/write';
import { isCurrencyCode, isId, isWhole, only, type Fields } from './fields.ts';

export type ParticipantKind = 'account' | 'stock';

export interface Command {
  readonly op: 'hold' | 'confirm' | 'release';
  /** The participant's id, by which it is routed. */
  readonly id: string;
  readonly kind: ParticipantKind;
  /** The saga's routing key, and its name within the key. */
  readonly from: SagaName;
  readonly attempt: number;
  /** Of a hold. */
  readonly terms?: Terms;
}

export interface SagaName {
  readonly key: string;
  readonly name: string;
}

export interface Terms {
  readonly direction: 'out' | 'in';
  /** An amount as text, in the currency; or whole units of stock. */
  readonly amount: string;
  /** Null for stock. */
  readonly currency: string | null;
}

const SAGA_LENGTH_MAX = 240;
const FIELDS = ['saga', 'attempt'];

/** The command that `data` of this type gives; undefined where it is none, or not valid. */
export function readCommand(type: string, data: Fields): Command | undefined {
  const [kind, op] = type.split('.');
  if ((kind !== 'account' && kind !== 'stock') || (op !== 'hold' && op !== 'confirm' && op !== 'release')) return undefined;
  if (type !== `${kind}.${op}`) return undefined;
  const id = kind === 'account' ? data.account : data.sku;
  const from = sagaNameOf(data.saga);
  if (!isId(id) || from === undefined || !isWhole(data.attempt, 0)) return undefined;
  const named = [...FIELDS, kind === 'account' ? 'account' : 'sku'];
  const common: Command = { op, id, kind, from, attempt: data.attempt };
  if (op !== 'hold') return only(data, named) ? common : undefined;
  const terms = kind === 'account' ? moneyOf(data, named) : unitsOf(data, named);
  return terms && { ...common, terms };
}

function moneyOf(data: Fields, named: readonly string[]): Terms | undefined {
  const { direction, amount, currency } = data;
  if (!only(data, [...named, 'direction', 'amount', 'currency']) || !isDirection(direction) || !isCurrencyCode(currency)) return undefined;
  return typeof amount === 'string' && DECIMAL_PATTERN.test(amount) ? { direction, amount, currency } : undefined;
}

function unitsOf(data: Fields, named: readonly string[]): Terms | undefined {
  const { direction, quantity } = data;
  if (!only(data, [...named, 'direction', 'quantity']) || !isDirection(direction) || !isWhole(quantity, 1)) return undefined;
  return { direction, amount: String(quantity), currency: null };
}

function isDirection(value: unknown): value is 'out' | 'in' {
  return value === 'out' || value === 'in';
}

/** `tenant/id/name`, of which the name may hold slashes. */
function sagaNameOf(saga: unknown): SagaName | undefined {
  if (typeof saga !== 'string' || saga.length > SAGA_LENGTH_MAX) return undefined;
  const end = saga.indexOf('/', saga.indexOf('/') + 1);
  const key = saga.slice(0, end);
  const name = saga.slice(end + 1);
  return end > 0 && name !== '' && key.includes('/') && tenantOf(key) !== undefined ? { key, name } : undefined;
}
