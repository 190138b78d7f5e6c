/** The entities of one slot, row by row: accounts, payments, orders, stock, what is held for sagas, and the sagas. */
import { formatAmount, isCurrency, type ShardId } from '@millrace/write';
import { holdName } from './holds.ts';
import { canonicalText } from './message.ts';
import { linesText, paymentKey, type ModelOrder, type SlotModel } from './model.ts';
import { sagaName, type ModelSaga, type SagaModel } from './saga-model.ts';
import { sagaRowOf } from './saga-row.ts';
import type { AccountRow, HoldRow, OrderRow, PaymentRow, SagaRow, SlotRows, StockRow } from './snapshot.ts';
import type { DifferenceKind, Report } from './verdict.ts';

export interface EntityComparison {
  readonly shard: ShardId;
  readonly slot: number;
  readonly model: SlotModel;
  readonly sagas: SagaModel;
  readonly rows: SlotRows;
  readonly report: Report;
}

export function compareEntities(comparison: EntityComparison): void {
  const { model } = comparison;
  const { accounts, payments, orders, stock, holds, sagas } = comparison.rows;
  compareTable(comparison, accountTable, model.accounts, accounts);
  compareTable(comparison, paymentTable, model.payments, payments);
  compareTable(comparison, orderTable, model.orders, orders);
  compareTable(comparison, stockTable, model.stock, stock);
  compareTable(comparison, holdTable, model.holds, holds);
  compareTable(comparison, sagaTable, comparison.sagas, sagas);
}

interface EntityTable<Expected, Row> {
  readonly kind: DifferenceKind;
  keyOf(row: Row): string;
  isSame(expected: Expected, row: Row): boolean;
  show(row: Expected | Row): string;
}

const accountTable: EntityTable<AccountRow, AccountRow> = {
  kind: 'wrong_balance',
  keyOf: ({ key }) => key,
  isSame: (a, b) => a.balance === b.balance && a.held === b.held && a.incoming === b.incoming && a.currency === b.currency,
  show: ({ currency, balance, held, incoming }) => `balance ${money(balance, currency)}, held ${money(held, currency)}${incoming === 0n ? '' : `, incoming ${money(incoming, currency)}`}`,
};

const paymentTable: EntityTable<PaymentRow, PaymentRow> = {
  kind: 'wrong_payment',
  keyOf: ({ account, payment }) => paymentKey(account, payment),
  isSame: (a, b) =>
    a.authorized === b.authorized &&
    a.captured === b.captured &&
    a.refunded === b.refunded &&
    a.released === b.released &&
    a.currency === b.currency &&
    a.orderId === b.orderId,
  show: ({ currency, authorized, captured, refunded, released, orderId }) =>
    `authorized ${money(authorized, currency)}, captured ${money(captured, currency)}, ` +
    `refunded ${money(refunded, currency)}, released ${money(released, currency)}, order ${orderId ?? 'none'}`,
};

const orderTable: EntityTable<ModelOrder, OrderRow> = {
  kind: 'wrong_order',
  keyOf: ({ key }) => key,
  isSame: (a, b) =>
    a.total === b.total && a.account === b.account && a.currency === b.currency && a.lines === linesText(b.lines),
  show({ account, currency, total, lines }) {
    const text = typeof lines === 'string' ? lines : linesText(lines);
    return `account ${account}, total ${money(total, currency)}, lines ${text.replaceAll('\n', '; ').slice(0, LINES_SHOWN_LENGTH_MAX)}`;
  },
};

const stockTable: EntityTable<StockRow, StockRow> = {
  kind: 'wrong_stock',
  keyOf: ({ key }) => key,
  isSame: (a, b) => a.onHand === b.onHand && a.reserved === b.reserved && a.incoming === b.incoming,
  show: ({ onHand, reserved, incoming }) => `${onHand} on hand, ${reserved} reserved${incoming === 0n ? '' : `, ${incoming} incoming`}`,
};

const holdTable: EntityTable<HoldRow, HoldRow> = {
  kind: 'wrong_hold',
  keyOf: holdName,
  isSame: (a, b) => a.direction === b.direction && a.units === b.units && a.state === b.state,
  show: ({ direction, units, state }) => `${state}, ${units} ${direction}`,
};

const sagaTable: EntityTable<ModelSaga, SagaRow> = {
  kind: 'wrong_saga',
  keyOf: ({ key, saga }) => sagaName(key, saga),
  isSame: (saga, row) => canonicalText(sagaRowOf(saga)) === canonicalText(row),
  show(saga) {
    const { state, dueMs, startedMs, changedMs, body } = 'parts' in saga ? sagaRowOf(saga) : saga;
    return `${state}, due ${dueMs ?? 'never'}, from ${startedMs} to ${changedMs}, ${canonicalText(body)}`.slice(0, SAGA_SHOWN_LENGTH_MAX);
  },
};

const LINES_SHOWN_LENGTH_MAX = 200;
const SAGA_SHOWN_LENGTH_MAX = 1_000;

function compareTable<Expected, Row>(
  { shard, slot, report }: EntityComparison,
  table: EntityTable<Expected, Row>,
  expected: ReadonlyMap<string, Expected>,
  rows: readonly Row[],
): void {
  const at = { kind: table.kind, shard, slot };
  const met = new Set<string>();
  for (const row of rows) {
    const key = table.keyOf(row);
    const wanted = expected.get(key);
    if (wanted === undefined) report.differs({ ...at, key, expected: 'no row', actual: table.show(row) });
    else if (met.has(key)) report.differs({ ...at, key, expected: 'one row', actual: `another: ${table.show(row)}` });
    else if (!table.isSame(wanted, row)) report.differs({ ...at, key, expected: table.show(wanted), actual: table.show(row) });
    met.add(key);
  }
  for (const [key, wanted] of expected) {
    if (!met.has(key)) report.differs({ ...at, key, expected: table.show(wanted), actual: 'no row' });
  }
}

/** A shard may hold a currency that is none: that is a difference to be shown, not a reason to stop. */
export function money(units: bigint, currency: string): string {
  return isCurrency(currency) ? `${formatAmount(units, currency)} ${currency}` : `${units} minor units of ${currency}`;
}
