/** What became of every row of a replayed file. The parts add up to the whole, in rows and in money. */
import { assert } from '@millrace/write';
import { EXAMPLES_MAX } from '../limits.ts';
import type { Period } from './date.ts';
import { CURRENCY, formatMicros } from './money.ts';
import { UNMATCHED, UNUSABLE, type UnmatchedReason, type UnusableReason } from './reasons.ts';

/** Rows of one fate. */
export interface Share {
  rows: number;
  /** Sum of Quantity x UnitPrice in millionths of the currency's unit, by the sign of the file. */
  micros: bigint;
}

export interface Explained extends Share {
  /** Invoices that are cancelled; 0 for rows. */
  invoices: number;
  /** The first lines of the file that it concerns. */
  readonly lines: number[];
}

export interface ReplayReport {
  readonly file: string;
  readonly rows: number;
  readonly micros: bigint;
  readonly invoices: number;
  readonly cancellations: number;
  readonly accounts: number;
  readonly skus: number;
  readonly guestRows: number;
  /** Invoices that became more than one order: too long for one, or not in one piece. */
  readonly splitInvoices: number;
  readonly invoicesWithoutUsableRow: number;
  readonly period: Period | undefined;
  readonly writes: Readonly<Record<string, number>>;
  readonly orders: Share & { readonly count: number };
  readonly refunds: Share & { readonly count: number };
  readonly unmatched: Readonly<Partial<Record<UnmatchedReason, Explained>>>;
  readonly unusable: Readonly<Partial<Record<UnusableReason, Explained>>>;
}

export function explain(share: Explained | undefined, { rows, micros, invoices, line }: Share & { invoices: number; line: number }): Explained {
  const next = share ?? { rows: 0, micros: 0n, invoices: 0, lines: [] };
  next.rows += rows;
  next.micros += micros;
  next.invoices += invoices;
  if (next.lines.length < EXAMPLES_MAX) next.lines.push(line);
  return next;
}

/** Every row has one fate. @throws AssertionFailed where rows or money are lost on the way. */
export function assertComplete(report: ReplayReport): void {
  const shares = [report.orders, report.refunds, ...Object.values(report.unmatched), ...Object.values(report.unusable)];
  const rows = shares.reduce((sum, share) => sum + share.rows, 0);
  const micros = shares.reduce((sum, share) => sum + share.micros, 0n);
  assert(rows === report.rows && micros === report.micros, 'each row of the file is ordered, refunded or explained');
}

/** The report as text, for people. */
export function formatReplayReport(report: ReplayReport): string {
  const { orders, refunds, period } = report;
  const net = orders.micros + refunds.micros;
  const lines = [
    `${report.file}${period ? `, ${period.from} to ${period.to}` : ''}`,
    line('rows', report.rows, report.micros, 'sum of Quantity x UnitPrice'),
    line('invoices', report.invoices, undefined, `${count(report.cancellations)} of them cancellations`),
    line('accounts', report.accounts, undefined, `${count(report.guestRows)} rows without a customer belong to account guest`),
    line('stock codes', report.skus, undefined, ''),
    line('orders', orders.count, orders.micros, `${count(orders.rows)} rows, each order funded by a deposit and paid by one capture`),
    line('refunds', refunds.count, refunds.micros, `${count(refunds.rows)} rows of cancellations, goods returned to stock`),
    line('net', undefined, net, 'what the payments keep: captured less refunded'),
    ...explainedLines('cancellations not refunded', report.unmatched, UNMATCHED),
    ...explainedLines('rows not used', report.unusable, UNUSABLE),
    ...notes(report),
    `  writes: ${Object.entries(report.writes).map(([type, writes]) => `${count(writes)} ${type}`).join(', ') || 'none'}`,
  ];
  return lines.join('\n');
}

function explainedLines<R extends string>(
  title: string,
  shares: Readonly<Partial<Record<R, Explained>>>,
  texts: Readonly<Record<R, string>>,
): string[] {
  const reasons = (Object.keys(texts) as R[]).flatMap((reason) => {
    const share = shares[reason];
    return share ? [[reason, share] as const] : [];
  });
  if (reasons.length === 0) return [];
  return [
    `  ${title}:`,
    ...reasons.map(([reason, { rows, micros, invoices, lines }]) => {
      const cases = invoices > 0 ? `invoices ${count(invoices)}, ` : '';
      const more = (invoices || rows) > lines.length ? ', ...' : '';
      const which = `${cases}rows ${count(rows)}, ${formatMicros(micros)} ${CURRENCY}`;
      return `    ${reason}: ${which}: ${texts[reason]} (line ${lines.join(', ')}${more})`;
    }),
  ];
}

function notes({ splitInvoices, invoicesWithoutUsableRow }: ReplayReport): string[] {
  return [
    ...(splitInvoices > 0 ? [`  ${count(splitInvoices)} invoices became several orders: over 1,000 rows, or not in one piece`] : []),
    ...(invoicesWithoutUsableRow > 0 ? [`  ${count(invoicesWithoutUsableRow)} invoices have no usable row and became nothing`] : []),
  ];
}

function line(name: string, items: number | undefined, micros: bigint | undefined, note: string): string {
  const number = (items === undefined ? '' : count(items)).padStart(9);
  const money = (micros === undefined ? '' : `${formatMicros(micros)} ${CURRENCY}`).padStart(20);
  return `  ${name.padEnd(12)}${number}${money}  ${note}`.trimEnd();
}

function count(items: number): string {
  return items.toLocaleString('en');
}
