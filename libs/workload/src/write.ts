/** A write as the workload knows it: what it says, its place in the order of its key, and what to expect of it. */
import { unreachable } from '@millrace/write';

export interface OrderLine {
  readonly sku: string;
  readonly quantity: number;
  /** A decimal string. */
  readonly unit_price: string;
}

interface OfPayment {
  readonly payment: string;
  readonly account: string;
  readonly amount?: string;
}

interface NewPayment extends OfPayment {
  readonly amount: string;
  readonly currency: string;
  readonly order?: string;
}

/** Type and data of a write, in the wire form of the API. */
export type WriteBody =
  | { readonly type: 'account.open'; readonly data: { readonly account: string; readonly currency: string } }
  | {
      readonly type: 'account.deposit';
      readonly data: { readonly account: string; readonly amount: string; readonly currency: string; readonly reference?: string };
    }
  | { readonly type: 'payment.authorize'; readonly data: NewPayment }
  /** With a currency: a new payment, authorized and captured at once. */
  | { readonly type: 'payment.capture'; readonly data: NewPayment | OfPayment }
  | { readonly type: 'payment.void'; readonly data: { readonly payment: string; readonly account: string } }
  | { readonly type: 'payment.refund'; readonly data: OfPayment }
  | { readonly type: 'stock.receive'; readonly data: { readonly sku: string; readonly quantity: number } }
  | {
      readonly type: 'order.place';
      readonly data: {
        readonly order: string;
        readonly account: string;
        readonly currency: string;
        readonly lines: readonly OrderLine[];
        readonly deadline_seconds?: number;
      };
    }
  | { readonly type: 'order.cancel'; readonly data: { readonly order: string } }
  | {
      readonly type: 'order.return';
      readonly data: { readonly order: string; readonly return?: string; readonly lines: readonly Pick<OrderLine, 'sku' | 'quantity'>[] };
    }
  | {
      readonly type: 'transfer.place';
      readonly data: {
        readonly transfer: string;
        readonly from: string;
        readonly to: string;
        readonly amount: string;
        readonly currency: string;
      };
    };

export type WriteOf<T extends WriteBody['type']> = Extract<WriteBody, { readonly type: T }>;

/** The states in which an order ends. */
export type OrderEnd = 'confirmed' | 'rejected' | 'cancelled';

/** An order whose end a write waits for, and how it may end: more than one way where it depends on timing. */
export interface AwaitedOrder {
  readonly order: string;
  readonly as: readonly OrderEnd[];
}

/**
 * - `write`: sent for the first time. Counted as one of the N writes of a run.
 * - `repeat`: a client's retry of an earlier write: same idempotency key, same body. It changes nothing.
 * - `mismatch`: an earlier idempotency key with another body. It is answered by 409, or its outcome is
 *   `idempotency_mismatch`.
 */
export type WriteKind = 'write' | 'repeat' | 'mismatch';

export interface Work {
  readonly kind: WriteKind;
  readonly body: WriteBody;
  readonly idempotencyKey: string;
  /** Other keys whose writes so far must be acked first: an order waits for the receipts of its stock. */
  readonly after?: readonly string[];
  /** Sent only once this order has ended: what it asks for leans on the order's end. */
  readonly onceEnded?: AwaitedOrder;
  /** The code of the refusal that the domain owes this write; applied where absent. */
  readonly refusal?: string;
  /**
   * What the saga may answer to it: `confirmed`, `cancelling` (a cancel in time), or the code for which it is undone or
   * refused. More than one where it depends on timing.
   */
  readonly answers?: readonly string[];
}

/** The id that a write is routed and ordered by. */
export function keyOf(body: WriteBody): string {
  switch (body.type) {
    case 'account.open':
    case 'account.deposit':
    case 'payment.authorize':
    case 'payment.capture':
    case 'payment.void':
    case 'payment.refund':
      return body.data.account;
    case 'stock.receive':
      return body.data.sku;
    case 'order.place':
    case 'order.cancel':
    case 'order.return':
      return body.data.order;
    case 'transfer.place':
      return body.data.transfer;
    default:
      return unreachable(body);
  }
}
