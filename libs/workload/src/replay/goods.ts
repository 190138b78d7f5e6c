/** What the customers of the file bought so far, with what is left to return of each line. */
import type { UnmatchedReason } from './reasons.ts';
import type { Row } from './rows.ts';

/** Units of an order that a row of a cancellation gives back. */
export interface Taken {
  readonly order: string;
  readonly quantity: number;
}

type SoldRow = Pick<Row, 'sku' | 'quantity' | 'unitMinorUnits'>;

export interface Goods {
  add(account: string, order: string, rows: readonly SoldRow[]): void;
  /**
   * Takes the row's units from the account's orders that have them at the row's price, the newest first, so that what is
   * paid back is what the file says; or tells why not all of them can be taken, and takes none.
   */
  take(account: string, row: SoldRow): readonly Taken[] | { readonly unmatched: UnmatchedReason };
}

interface Line {
  readonly sku: string;
  readonly unitMinorUnits: bigint;
  left: number;
}

interface Bought {
  readonly order: string;
  readonly lines: readonly Line[];
}

export function createGoods(): Goods {
  const byAccount = new Map<string, Bought[]>();
  return {
    add(account, order, rows) {
      const bought = { order, lines: rows.map(({ sku, quantity, unitMinorUnits }) => ({ sku, unitMinorUnits, left: quantity })) };
      const orders = byAccount.get(account);
      if (orders) orders.push(bought);
      else byAccount.set(account, [bought]);
    },
    take(account, row) {
      const orders = byAccount.get(account);
      if (!orders) return { unmatched: 'no_earlier_order' };
      const wanted = Math.abs(row.quantity);
      const ofSku = orders.filter(({ lines }) => lines.some(({ sku }) => sku === row.sku));
      const found = ofSku.map((each) => ({ ...each, next: nextReturned(each, row) }));
      if (found.reduce((sum, { next }) => sum + unitsOf(next), 0) < wanted) return { unmatched: reasonAgainst(ofSku, row) };
      return takeFrom(found.toReversed(), wanted);
    },
  };
}

/**
 * The lines of the sku from which a return takes next and at the row's price. A return takes from an order's lines in
 * their order, whatever their price: what stands behind a line of another price is out of reach.
 */
function nextReturned({ lines }: Bought, { sku, unitMinorUnits }: SoldRow): readonly Line[] {
  const left = lines.filter((line) => line.sku === sku && line.left > 0);
  const other = left.findIndex((line) => line.unitMinorUnits !== unitMinorUnits);
  return other < 0 ? left : left.slice(0, other);
}

function takeFrom(found: readonly (Bought & { readonly next: readonly Line[] })[], wanted: number): readonly Taken[] {
  const taken: Taken[] = [];
  let missing = wanted;
  for (const { order, next } of found) {
    const quantity = Math.min(missing, unitsOf(next));
    if (quantity === 0) continue;
    taken.push({ order, quantity });
    missing -= quantity;
    let rest = quantity;
    for (const line of next) {
      const units = Math.min(rest, line.left);
      line.left -= units;
      rest -= units;
    }
  }
  return taken;
}

function reasonAgainst(ofSku: readonly Bought[], { sku, unitMinorUnits }: SoldRow): UnmatchedReason {
  if (ofSku.length === 0) return 'not_bought';
  const atPrice = ofSku.some(({ lines }) => lines.some((line) => line.sku === sku && line.unitMinorUnits === unitMinorUnits));
  return atPrice ? 'not_enough_left' : 'other_price';
}

function unitsOf(lines: readonly Line[]): number {
  return lines.reduce((sum, { left }) => sum + left, 0);
}
