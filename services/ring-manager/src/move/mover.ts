/** What every part of one move works with. */
import type { Database } from '@millrace/postgres';
import type { Log } from '@millrace/runtime';
import { must } from '@millrace/write';
import type { MoveTable } from './table.sql.ts';
import type { MoveOrder, MoveWish, Pace } from './types.ts';
import type { Reporter } from './report.ts';

export interface Mover {
  readonly order: MoveOrder;
  readonly token: bigint;
  readonly source: Database;
  readonly target: Database;
  /** The tables of a slot, as both shards have them. */
  readonly tables: readonly MoveTable[];
  readonly stallBudgetMs: number;
  readonly pace: Pace;
  readonly reporter: Reporter;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Passes where the move should still go on; tests stop here. @throws WishChanged, and the signal's reason */
  checkpoint(step: string): Promise<void>;
  /** The same without asking for the wish: between fence and activation nothing may turn it back for a pause. */
  step(step: string): Promise<void>;
}

export function tableOf({ tables }: Pick<Mover, 'tables'>, name: string): MoveTable {
  return must(tables.find((table) => table.name === name), `table ${name} belongs to a slot`);
}

/** The operator wants something else of the move now. */
export class WishChanged extends Error {
  override readonly name = 'WishChanged';
  readonly wish: MoveWish;

  constructor(wish: MoveWish) {
    super(`the wish is ${wish}`);
    this.wish = wish;
  }
}

/** The rows are not as this step expects them, by an earlier attempt of this same mover: read them again. */
export class OutOfStep extends Error {
  override readonly name = 'OutOfStep';
  readonly code = 'out_of_step';
  readonly retryable = true;
}
