/** Complete HTTP requests as text. */
import { captureBody, captureOf, idempotencyKeyOf } from '../writes.ts';

export interface Target {
  readonly port: number;
  readonly apiKey: string;
}

export function postPayment({ port, apiKey }: Target, run: string, i: number): string {
  const body = captureBody(run, i);
  return (
    `POST /v1/payments HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: Bearer ${apiKey}\r\n` +
    `Idempotency-Key: ${idempotencyKeyOf(run, i)}\r\nContent-Type: application/json\r\n` +
    `Content-Length: ${body.length}\r\n\r\n${body}`
  );
}

/** Reads the payment of write `i`, not older than its receipt. */
export function readPayment({ port, apiKey }: Target, run: string, i: number, receipt: string): string {
  const { payment, account } = captureOf(run, i);
  return (
    `GET /v1/payments/${payment}?account=${account}&after=${receipt} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n` +
    `Authorization: Bearer ${apiKey}\r\n\r\n`
  );
}
