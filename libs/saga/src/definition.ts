/** What a kind of saga is: its start, its parts, and what it takes from another saga of its key. */
import type { Refusal, RefusalCode } from '@millrace/domain';
import type { z } from 'zod';
import type { Confirmed, LineClaim, Part, Saga, SagaKind } from './saga.ts';

export interface SagaDefinition<D> {
  readonly kind: SagaKind;
  /** The type of the record that starts it. */
  readonly start: string;
  readonly schema: z.ZodType<D>;
  /** The refusal of a second start. */
  readonly exists: RefusalCode;
  /** Its name within its key. */
  name(data: D): string;
  /** Its parts, each held, then confirmed or released; or why it cannot begin. `base` is the saga that it leans on. */
  begin(data: D, base: Saga | undefined): Begun | Refusal;
  /** A saga of the same key from which it claims something, and gives it back where it is undone. */
  readonly base?: { readonly name: string; giveBack(base: Confirmed, claim: readonly LineClaim[]): Confirmed };
}

export interface Begun {
  readonly parts: readonly Part[];
  readonly deadlineSeconds: number;
  /** The saga that it leans on, as the claim leaves it. */
  readonly base?: Confirmed;
  readonly claim?: readonly LineClaim[];
}
