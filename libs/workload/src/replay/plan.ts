/**
 * The writes of an invoice, in the order in which they must be acked.
 *
 * A sale: stock for its lines, the deposit that funds it, and the order, which charges the account itself. A
 * cancellation: returns of earlier orders, which pay back and put back, each once its order has ended.
 * Idempotency keys come from the file alone, so that replaying it again changes nothing.
 */
import { formatAmount } from '@millrace/write';
import type { Work, WriteBody } from '../write.ts';
import { accountOf, idOf, orderOf } from './ids.ts';
import type { Invoice } from './invoices.ts';
import { CURRENCY } from './money.ts';

/** The first write of a customer. */
export function planAccount(account: string): Work {
  return write({ type: 'account.open', data: { account, currency: CURRENCY } }, 'open');
}

/** The writes of a sale on an open account. */
export function planSale(invoice: Invoice): Work[] {
  const account = accountOf(invoice.customer);
  const order = orderOf(invoice.number, invoice.part);
  const amount = formatAmount(minorUnitsOf(invoice.rows), CURRENCY);
  const reference = `invoice ${order}`;
  const receipts = planReceipts(invoice, order);
  const lines = invoice.rows.map(({ sku, quantity, unitMinorUnits }) => ({
    sku: idOf(sku),
    quantity,
    unit_price: formatAmount(unitMinorUnits, CURRENCY),
  }));
  return [
    ...receipts,
    write({ type: 'account.deposit', data: { account, amount, currency: CURRENCY, reference } }, `deposit:${order}`),
    write({ type: 'order.place', data: { order, account, currency: CURRENCY, lines } }, `place:${order}`, [
      account,
      ...receipts.flatMap(({ body }) => (body.type === 'stock.receive' ? [body.data.sku] : [])),
    ]),
  ];
}

/** The return of units of one order that a cancellation asks for. */
export function planReturn(invoice: Invoice, order: string, units: ReadonlyMap<string, number>): Work {
  const cancellation = orderOf(invoice.number, invoice.part);
  const lines = [...units].map(([sku, quantity]) => ({ sku, quantity }));
  const body = { type: 'order.return', data: { order, return: cancellation, lines } } as const;
  return { ...write(body, `return:${cancellation}`), onceEnded: { order, as: ['confirmed'] }, answers: ['confirmed'] };
}

/** What the rows are worth in minor units, without sign. */
export function minorUnitsOf(rows: Invoice['rows']): bigint {
  return rows.reduce((sum, { quantity, unitMinorUnits }) => sum + BigInt(Math.abs(quantity)) * unitMinorUnits, 0n);
}

/** One receipt for each stock code of the invoice. */
function planReceipts({ rows }: Invoice, order: string): Work[] {
  const quantities = new Map<string, number>();
  for (const { sku, quantity } of rows) quantities.set(idOf(sku), (quantities.get(idOf(sku)) ?? 0) + quantity);
  return [...quantities].map(([sku, quantity]) => write({ type: 'stock.receive', data: { sku, quantity } }, `receive:${order}`));
}

function write(body: WriteBody, name: string, after?: readonly string[]): Work {
  const work = { kind: 'write', body, idempotencyKey: `replay:${name}` } as const;
  return after ? { ...work, after } : work;
}
