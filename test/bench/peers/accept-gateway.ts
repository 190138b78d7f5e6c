/** Peer: an express route that validates a payment and answers 202. No Kafka: the ceiling of this HTTP stack. */
import type { AddressInfo } from 'node:net';
import express from 'express';
import { paymentRequest } from './payment-request.ts';
import { say } from './say.ts';

const app = express();
app.use(express.json({ limit: '256kb' }));
app.post('/v1/payments', (request, response) => {
  const payment = paymentRequest.safeParse(request.body);
  const idempotencyKey = request.get('idempotency-key');
  if (!payment.success || idempotencyKey === undefined) {
    response.status(400).json({ error: 'not a payment' });
    return;
  }
  response.status(202).json({ status: 'accepted', payment: payment.data.payment });
});
const server = app.listen(0, '127.0.0.1', () => {
  say('ready', { port: (server.address() as AddressInfo).port });
});
process.once('SIGTERM', () => process.exit(0));
