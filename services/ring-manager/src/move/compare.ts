/** Comparing both sides: counts and sums of hashes, asked of both at once. */
import type { Sql, Tx } from '@millrace/postgres';
import type { Mover } from './mover.ts';
import { isEqual, readSum, type MoveTable, type Sum, type SumRow } from './table.sql.ts';
import { VerificationFailed } from './types.ts';

export interface Sides {
  readonly source: Pick<Tx, 'query'>;
  readonly target: Pick<Tx, 'query'>;
}

/** The same question to both sides, at the same time. */
export async function sumBoth({ source, target }: Sides, sql: Sql): Promise<{ readonly source: Sum; readonly target: Sum }> {
  const [here, there] = await Promise.all([source.query<SumRow>(sql), target.query<SumRow>(sql)]);
  return { source: readSum(here), target: readSum(there) };
}

/** @throws VerificationFailed where the sides differ */
export function mustEqual({ order }: Pick<Mover, 'order'>, table: MoveTable, range: string, sums: { readonly source: Sum; readonly target: Sum }): void {
  if (isEqual(sums.source, sums.target)) return;
  throw new VerificationFailed(order, `table ${table.name}, ${range}: ${order.source} has ${textOf(sums.source)}, ${order.target} has ${textOf(sums.target)}`);
}

function textOf({ rows, checksum }: Sum): string {
  return `${rows} rows with checksum ${checksum}`;
}
