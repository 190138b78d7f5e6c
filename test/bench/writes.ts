/**
 * The writes that every side is measured with: captured payments, one distinct idempotency key each.
 *
 * Write `i` of a run is always the same, and every field has a fixed width, so that a load generator can send
 * millions of them without spending the processor that the measured side needs.
 */
import { encodeWrite } from '@millrace/wire';

/** Ten thousand accounts, hit evenly: the case that favours nobody who folds writes of one account. */
export const ACCOUNTS = 10_000;
export const TENANT = 'demo';
export const CURRENCY = 'GBP';
/** What each account holds at first: enough for every capture of the longest run. */
export const FUNDS = '900000000.00';

const NUMBER_DIGITS = 9;
/** A prime step visits all accounts before it repeats one, in no order that a slot would notice. */
const ACCOUNT_STEP = 7_919;

export interface Capture {
  readonly payment: string;
  readonly account: string;
  readonly amount: string;
  readonly currency: string;
  readonly order: string;
}

/** Write `i` of a run; `run` tells runs on the same installation apart (same length for all of them). */
export function captureOf(run: string, i: number): Capture {
  const number = String(i).padStart(NUMBER_DIGITS, '0');
  return {
    payment: `pay-${run}-${number}`,
    account: accountOf(i),
    amount: `${10 + (i % 90)}.${String(i % 100).padStart(2, '0')}`,
    currency: CURRENCY,
    order: `ord-${run}-${number}`,
  };
}

/** The account of write `i` of every run. */
export function accountOf(i: number): string {
  return accountName((i * ACCOUNT_STEP) % ACCOUNTS);
}

export function idempotencyKeyOf(run: string, i: number): string {
  return `key-${run}-${String(i).padStart(NUMBER_DIGITS, '0')}`;
}

export function accountName(index: number): string {
  return `acct-${String(index).padStart(5, '0')}`;
}

export function recordKeyOf(account: string): string {
  return `${TENANT}/${account}`;
}

/** The record that the gateway makes of write `i`. */
export function captureRecord(run: string, i: number): { readonly key: string; readonly value: string } {
  const data = captureOf(run, i);
  return {
    key: recordKeyOf(data.account),
    value: encodeWrite({ type: 'payment.capture', idempotencyKey: idempotencyKeyOf(run, i), data }),
  };
}

/** The records that open account `index` and fund it, in order. */
export function fundingRecords(index: number): readonly { readonly key: string; readonly value: string }[] {
  const account = accountName(index);
  const key = recordKeyOf(account);
  return [
    { type: 'account.open', idempotencyKey: `open-${account}`, data: { account, currency: CURRENCY } },
    { type: 'account.deposit', idempotencyKey: `fund-${account}`, data: { account, amount: FUNDS, currency: CURRENCY } },
  ].map((write) => ({ key, value: encodeWrite(write) }));
}

/** The body of `POST /v1/payments` for write `i`. */
export function captureBody(run: string, i: number): string {
  return JSON.stringify({ ...captureOf(run, i), capture: true });
}

/** The line of `POST /v1/writes` for write `i`, with its newline. */
export function captureLine(run: string, i: number): string {
  const write = { type: 'payment.capture', idempotency_key: idempotencyKeyOf(run, i), data: captureOf(run, i) };
  return `${JSON.stringify(write)}\n`;
}
