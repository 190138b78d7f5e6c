/** The amount of a capture or a refund: a part of what is left, or all of it. */
import { formatAmount, parseAmount } from '@millrace/write';
import { type Decision, refused } from '../model.ts';
import type { RefusalCode } from '../refusals.ts';
import type { PaymentRow } from './table.ts';

export interface PaymentPart {
  readonly payment: string;
  readonly amount?: string | undefined;
}

export type Part =
  | { readonly units: bigint; readonly refusal?: undefined }
  | { readonly units?: undefined; readonly refusal: Decision };

/** The minor units that a write asks for; refused with `over` where they are more than `left`. */
export function partOf(
  data: PaymentPart,
  { currency }: PaymentRow,
  { left, over }: { left: bigint; over: RefusalCode },
): Part {
  if (data.amount === undefined) return { units: left };
  const units = parseAmount(data.amount, currency);
  if (units === undefined) return { refusal: refused('invalid_amount', { currency }) };
  if (units > left) return { refusal: refused(over, { left: formatAmount(left, currency) }) };
  return { units };
}
