/** A write as an HTTP request: a single POST, or a line of the bulk resource. */
import { toJson } from '@millrace/wire';
import { unreachable } from '@millrace/write';
import type { Work, WriteBody } from '../write.ts';

export interface Request {
  readonly path: string;
  readonly body: string;
}

export const BULK_PATH = '/v1/writes';

/** The single POST of a write. */
export function requestOf(body: WriteBody): Request {
  switch (body.type) {
    case 'account.open':
      return post('/v1/accounts', body.data);
    case 'account.deposit': {
      const { account, ...rest } = body.data;
      return post(`/v1/accounts/${encodeURIComponent(account)}/deposits`, rest);
    }
    case 'payment.authorize':
      return post('/v1/payments', body.data);
    case 'payment.capture':
      return 'currency' in body.data ? post('/v1/payments', { ...body.data, capture: true }) : onPayment(body.data, 'capture');
    case 'payment.void':
      return onPayment(body.data, 'void');
    case 'payment.refund':
      return onPayment(body.data, 'refund');
    case 'stock.receive':
      return post(`/v1/stock/${encodeURIComponent(body.data.sku)}/receipts`, { quantity: body.data.quantity });
    case 'order.place':
      return post('/v1/orders', body.data);
    case 'order.cancel':
      return post(`/v1/orders/${encodeURIComponent(body.data.order)}/cancel`, {});
    case 'order.return': {
      const { order, ...rest } = body.data;
      return post(`/v1/orders/${encodeURIComponent(order)}/returns`, rest);
    }
    case 'transfer.place':
      return post('/v1/transfers', body.data);
    default:
      return unreachable(body);
  }
}

/** The write's line of NDJSON, with its line feed. */
export function lineOf({ body, idempotencyKey }: Work): string {
  return `${toJson({ type: body.type, idempotency_key: idempotencyKey, data: body.data })}\n`;
}

function onPayment({ payment, ...rest }: { readonly payment: string }, action: string): Request {
  return post(`/v1/payments/${encodeURIComponent(payment)}/${action}`, rest);
}

function post(path: string, data: object): Request {
  return { path, body: toJson(data) };
}
