/**
 * Peer: the hand-made ingestion endpoint. express.json, zod, and one awaited kafkajs `send` with acks=all a request;
 * the account is the key, kafkajs's own partitioner places it.
 */
import type { AddressInfo } from 'node:net';
import express from 'express';
import { Kafka, logLevel, Partitioners } from 'kafkajs';
import { paymentRequest } from './payment-request.ts';
import { optionsOf, say } from './say.ts';

const { brokers, topic } = optionsOf<{ brokers: string[]; topic: string }>();

const kafka = new Kafka({ clientId: 'glue-gateway', brokers, logLevel: logLevel.ERROR });
const producer = kafka.producer({ allowAutoTopicCreation: false, createPartitioner: Partitioners.DefaultPartitioner });
await producer.connect();

const app = express();
app.use(express.json({ limit: '256kb' }));
app.post('/v1/payments', async (request, response) => {
  const payment = paymentRequest.safeParse(request.body);
  const idempotencyKey = request.get('idempotency-key');
  if (!payment.success || idempotencyKey === undefined) {
    response.status(400).json({ error: 'not a payment' });
    return;
  }
  const value = JSON.stringify({ type: 'payment.capture', idempotency_key: idempotencyKey, data: payment.data });
  const [stored] = await producer.send({ topic, acks: -1, messages: [{ key: `demo/${payment.data.account}`, value }] });
  response.status(202).json({ status: 'accepted', partition: stored?.partition, offset: stored?.baseOffset });
});
const server = app.listen(0, '127.0.0.1', () => {
  say('ready', { port: (server.address() as AddressInfo).port });
});
process.once('SIGTERM', () => process.exit(0));
