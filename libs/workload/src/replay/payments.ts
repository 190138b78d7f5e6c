/** The payments of the file so far, by account, with what is left to refund of each. */
import type { UnmatchedReason } from './reasons.ts';

export interface Payments {
  add(account: string, payment: string, minorUnits: bigint): void;
  /** Takes the amount from the account's newest payment that has as much left; or tells why none has. */
  refund(account: string, minorUnits: bigint): { readonly payment: string } | { readonly unmatched: UnmatchedReason };
}

interface Left {
  readonly payment: string;
  minorUnits: bigint;
}

export function createPayments(): Payments {
  const byAccount = new Map<string, Left[]>();
  return {
    add(account, payment, minorUnits) {
      const payments = byAccount.get(account);
      if (payments) payments.push({ payment, minorUnits });
      else byAccount.set(account, [{ payment, minorUnits }]);
    },
    refund(account, minorUnits) {
      const payments = byAccount.get(account);
      if (!payments) return { unmatched: 'no_earlier_payment' };
      const found = payments.findLast((each) => each.minorUnits >= minorUnits);
      if (!found) return { unmatched: 'not_enough_left' };
      found.minorUnits -= minorUnits;
      return { payment: found.payment };
    },
  };
}
