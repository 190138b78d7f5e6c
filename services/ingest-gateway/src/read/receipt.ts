/** A receipt as a client presents it. */
import { decodeReceipt, type Receipt, type Tenant } from '@millrace/write';
import { Refusal } from '../http/answer.ts';

const OFFSET_MAX = 2n ** 63n - 1n;

/** The receipt that a text holds. @throws Refusal where it is malformed, another tenant's or of no slot of ours. */
export function receiptOf(tenant: Tenant, text: string, slots: number): Receipt {
  const receipt = decodeReceipt(tenant, text);
  if (receipt === undefined || receipt.slot >= slots || receipt.offset > OFFSET_MAX) throw new Refusal('invalid_receipt');
  return receipt;
}
