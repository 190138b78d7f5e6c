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
  /** `count`: an invoice that gives back parts of several orders becomes as many returns. */
  readonly returns: Share & { readonly count: number };
  readonly unmatched: Readonly<Partial<Record<UnmatchedReason, Explained>>>;
  readonly unusable: Readonly<Partial<Record<UnusableReason, Explained>>>;
}

export function explain(share: Explained | undefined, { rows, micros, line }: Share & { readonly line: number }): Explained {
  const next = share ?? { rows: 0, micros: 0n, lines: [] };
  next.rows += rows;
  next.micros += micros;
  if (next.lines.length < EXAMPLES_MAX) next.lines.push(line);
  return next;
}

/** Every row has one fate. @throws AssertionFailed where rows or money are lost on the way. */
export function assertComplete(report: ReplayReport): void {
  const shares = [report.orders, report.returns, ...Object.values(report.unmatched), ...Object.values(report.unusable)];
  const rows = shares.reduce((sum, share) => sum + share.rows, 0);
  const micros = shares.reduce((sum, share) => sum + share.micros, 0n);
  assert(rows === report.rows && micros === report.micros, 'each row of the file is ordered, returned or explained');
}

/** The report as text, for people. */
export function formatReplayReport(report: ReplayReport): string {
  const { orders, returns, period } = report;
  const net = orders.micros + returns.micros;
  const lines = [
    `${report.file}${period ? `, ${period.from} to ${period.to}` : ''}`,
    line('rows', report.rows, report.micros, 'sum of Quantity x UnitPrice'),
    line('invoices', report.invoices, undefined, `${count(report.cancellations)} of them cancellations`),
    line('accounts', report.accounts, undefined, `${count(report.guestRows)} rows without a customer belong to account guest`),
    line('stock codes', report.skus, undefined, ''),
    line('orders', orders.count, orders.micros, `${count(orders.rows)} rows, each order funded by a deposit; it charges its account itself, so there is no payment beside it`),
    line('returns', returns.count, returns.micros, `${count(returns.rows)} rows of cancellations, matched to earlier orders: paid back, and put back in stock`),
    line('net', undefined, net, 'what the orders keep: charged less paid back'),
    ...explainedLines('rows of cancellations that return nothing', report.unmatched, UNMATCHED),
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
    ...reasons.map(([reason, { rows, micros, lines }]) => {
      const more = rows > lines.length ? ', ...' : '';
      const which = `rows ${count(rows)}, ${formatMicros(micros)} ${CURRENCY}`;
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
