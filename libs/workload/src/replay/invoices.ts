/**
 * Groups rows into invoices as they stream by: rows of one number and one customer that stand together. A group
 * that gets too long for an order ends there, and the number's next group becomes part 2 of the invoice.
 */
import { ORDER_LINES_MAX } from '../limits.ts';
import type { Row } from './rows.ts';

export interface Invoice {
  readonly number: string;
  /** From 1; the parts of an invoice number count in the order of the file. */
  readonly part: number;
  readonly customer: string;
  readonly isCancellation: boolean;
  /** 1 to 1,000 usable rows. */
  readonly rows: readonly Row[];
}

export interface Grouping {
  /** Takes a usable row; an invoice that it ends comes back. */
  add(row: Row): Invoice | undefined;
  /** The last invoice. */
  end(): Invoice | undefined;
}

export function createGrouping(): Grouping {
  const parts = new Map<string, number>();
  let group: Row[] = [];

  const close = (): Invoice | undefined => {
    const [first] = group;
    if (!first) return undefined;
    const part = (parts.get(first.invoice) ?? 0) + 1;
    parts.set(first.invoice, part);
    const { invoice: number, customer, isCancellation } = first;
    const rows = group;
    group = [];
    return { number, part, customer, isCancellation, rows };
  };
  return {
    add(row) {
      const [first] = group;
      const belongs = !first || (first.invoice === row.invoice && first.customer === row.customer && group.length < ORDER_LINES_MAX);
      const ended = belongs ? undefined : close();
      group.push(row);
      return ended;
    },
    end: close,
  };
}
