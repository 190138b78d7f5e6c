/**
 * A file of invoices as writes: customers become accounts, invoices orders across shards, and cancellations returns of
 * earlier orders. The file streams by, invoice by invoice; what is kept in memory are the invoice numbers, and of each
 * order what can still be returned.
 */
import { basename } from 'node:path';
import type { Work } from '../write.ts';
import { createCalendar } from './date.ts';
import { createGoods } from './goods.ts';
import { accountOf, idOf, orderOf } from './ids.ts';
import { type Invoice, createGrouping } from './invoices.ts';
import { microsOf } from './money.ts';
import { minorUnitsOf, planAccount, planReturn, planSale } from './plan.ts';
import type { UnmatchedReason, UnusableReason } from './reasons.ts';
import { type Explained, type ReplayReport, type Share, assertComplete, explain } from './report.ts';
import { type Row, readRows } from './rows.ts';

export interface Replay {
  /** The writes of the file; to be iterated once. @throws InvoiceFileError with the line of the file. */
  readonly writes: AsyncIterable<Work>;
  /** What became of the rows that were read so far: of all, once `writes` ended. */
  report(): ReplayReport;
}

export function createReplay({ file }: { file: string }): Replay {
  const books = createBooks(file);
  return { writes: replay(file, books), report: books.report };
}

async function* replay(file: string, books: Books): AsyncGenerator<Work, void, undefined> {
  const grouping = createGrouping();
  for await (const row of readRows(file)) {
    books.enterRow(row);
    const invoice = row.unusable === undefined ? grouping.add(row) : undefined;
    if (invoice) yield* books.enterInvoice(invoice);
  }
  const last = grouping.end();
  if (last) yield* books.enterInvoice(last);
  assertComplete(books.report());
}

interface Books {
  enterRow(row: Row): void;
  /** The writes of an invoice. */
  enterInvoice(invoice: Invoice): readonly Work[];
  report(): ReplayReport;
}

function createBooks(file: string): Books {
  const usableByInvoice = new Map<string, boolean>();
  const skus = new Set<string>();
  const opened = new Set<string>();
  const goods = createGoods();
  const calendar = createCalendar();
  const unmatched: Partial<Record<UnmatchedReason, Explained>> = {};
  const unusable: Partial<Record<UnusableReason, Explained>> = {};
  const writes: Record<string, number> = {};
  const orders = { count: 0, rows: 0, micros: 0n };
  const returns = { count: 0, rows: 0, micros: 0n };
  const count = { rows: 0, micros: 0n, cancellations: 0, guestRows: 0, splitInvoices: 0 };

  const open = (account: string): Work[] => {
    if (opened.has(account)) return [];
    opened.add(account);
    return [planAccount(account)];
  };
  const sell = (invoice: Invoice): Work[] => {
    const { rows } = invoice;
    goods.add(accountOf(invoice.customer), orderOf(invoice.number, invoice.part), rows.map((row) => ({ ...row, sku: idOf(row.sku) })));
    orders.count++;
    enterShare(orders, rows, microsOf(minorUnitsOf(rows)));
    if (invoice.part === 2) count.splitInvoices++;
    return planSale(invoice);
  };
  const cancel = (invoice: Invoice): Work[] => {
    const unitsByOrder = new Map<string, Map<string, number>>();
    for (const row of invoice.rows) {
      const sku = idOf(row.sku);
      const found = goods.take(accountOf(invoice.customer), { ...row, sku });
      const micros = -microsOf(minorUnitsOf([row]));
      if ('unmatched' in found) {
        unmatched[found.unmatched] = explain(unmatched[found.unmatched], { rows: 1, micros, line: row.line });
        continue;
      }
      enterShare(returns, [row], micros);
      for (const { order, quantity } of found) {
        const units = unitsByOrder.get(order) ?? new Map<string, number>();
        unitsByOrder.set(order, units.set(sku, (units.get(sku) ?? 0) + quantity));
      }
    }
    returns.count += unitsByOrder.size;
    return [...unitsByOrder].map(([order, units]) => planReturn(invoice, order, units));
  };
  return {
    enterRow(row) {
      count.rows++;
      count.micros += row.micros;
      if (row.customer === '') count.guestRows++;
      if (row.date) calendar.add(row.date);
      if (row.sku !== '') skus.add(idOf(row.sku));
      const known = usableByInvoice.get(row.invoice);
      if (known === undefined && row.isCancellation) count.cancellations++;
      if (row.invoice !== '') usableByInvoice.set(row.invoice, known === true || row.unusable === undefined);
      if (row.unusable === undefined) return;
      const share = { rows: 1, micros: row.micros, line: row.line };
      unusable[row.unusable] = explain(unusable[row.unusable], share);
    },
    enterInvoice(invoice) {
      const account = open(accountOf(invoice.customer));
      const works = [...account, ...(invoice.isCancellation ? cancel(invoice) : sell(invoice))];
      for (const { body } of works) writes[body.type] = (writes[body.type] ?? 0) + 1;
      return works;
    },
    report: () => ({
      file: basename(file),
      ...count,
      invoices: usableByInvoice.size,
      accounts: opened.size,
      skus: skus.size,
      invoicesWithoutUsableRow: [...usableByInvoice.values()].filter((isUsable) => !isUsable).length,
      period: calendar.period(),
      writes,
      orders,
      returns,
      unmatched,
      unusable,
    }),
  };
}

function enterShare(share: Share, rows: readonly Row[], micros: bigint): void {
  share.rows += rows.length;
  share.micros += micros;
}
