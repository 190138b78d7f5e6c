/** Idempotency keys that come again: with the same body, as a retry does, or with another, as a mistake does. */
import type { Work, WriteBody } from '../write.ts';

/** The write once more. */
export function repeatOf({ body, idempotencyKey }: Work): Work {
  return { kind: 'repeat', body, idempotencyKey };
}

/** The write's idempotency key and routing key with another body; undefined where the body has nothing to vary. */
export function mismatchOf({ body, idempotencyKey }: Work): Work | undefined {
  const other = vary(body);
  return other && { kind: 'mismatch', body: other, idempotencyKey, refusal: 'idempotency_mismatch' };
}

function vary(body: WriteBody): WriteBody | undefined {
  switch (body.type) {
    case 'account.open':
      return { type: body.type, data: { ...body.data, currency: body.data.currency === 'CHF' ? 'GBP' : 'CHF' } };
    case 'account.deposit':
      return { type: body.type, data: { ...body.data, reference: 'another body' } };
    case 'stock.receive':
      return { type: body.type, data: { ...body.data, quantity: body.data.quantity + 1 } };
    case 'order.place':
      return { type: body.type, data: { ...body.data, account: `${body.data.account}.` } };
    case 'order.return':
      return { type: body.type, data: { ...body.data, lines: [...body.data.lines, { sku: 'another-body', quantity: 1 }] } };
    case 'transfer.place':
      return { type: body.type, data: { ...body.data, to: `${body.data.to}.` } };
    case 'payment.authorize':
      return { type: body.type, data: { ...body.data, order: 'another-body' } };
    default:
      return undefined;
  }
}
