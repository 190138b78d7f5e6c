/** Where an action of the generator takes place: the book, one account, and the means to name and to size things. */
import { currencyDigits, formatAmount } from '@millrace/write';
import type { WriteBody } from '../write.ts';
import type { Account, Book } from './book.ts';
import type { Random } from './random.ts';

/** A write without its idempotency key. */
export interface Draft {
  readonly body: WriteBody;
  readonly after?: readonly string[];
  readonly refusal?: string;
}

export interface Scene {
  readonly book: Book;
  readonly random: Random;
  readonly account: Account;
  /** An id that this run has not used: `pay-RUN-17`. */
  newId(noun: string): string;
  pickSku(): string;
}

/** An action: the writes that it makes, none where the book gives no occasion for it. */
export type Action = (scene: Scene) => readonly Draft[];

const WHOLE_MAX = 400;

/** Up to 400 of a two-digit currency with a fraction of its own digits; up to 40,000 of one without. */
export function randomAmount(random: Random, currency: string): bigint {
  const scale = 10 ** Math.max(currencyDigits(currency), 2);
  return BigInt(1 + random.below(WHOLE_MAX * scale));
}

/** A part of an amount of at least 2 minor units: at least 1, less than all. */
export function randomPart(random: Random, whole: bigint): bigint {
  return 1n + (BigInt(random.next()) * (whole - 1n)) / 2n ** 32n;
}

export function amountOf(units: bigint, { currency }: Account): string {
  return formatAmount(units, currency);
}
