/** What is not done, and why: the admin API answers it as a problem document. */
import type { ProblemCode } from '@millrace/wire';

/** Thrown inside a transaction it leaves nothing behind. */
export class Refused extends Error {
  override readonly name = 'Refused';
  readonly problem: ProblemCode;
  readonly extra: Readonly<Record<string, unknown>>;

  constructor(problem: ProblemCode, detail: string, extra: Readonly<Record<string, unknown>> = {}) {
    super(detail);
    this.problem = problem;
    this.extra = extra;
  }
}
