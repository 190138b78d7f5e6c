/** Peer: kafkajs `eachBatch`, one unnest upsert a batch, a connection a shard. Promises nothing after a crash but to try again. */
import { Kafka, logLevel } from 'kafkajs';
import pg from 'pg';
import type { Capture } from '../writes.ts';
import { paymentOf } from './payment-table.ts';
import { optionsOf, reportProgress, say } from './say.ts';

const UPSERT = {
  name: 'upsert_payments',
  text: `insert into payment (payment, account, amount, currency, "order")
         select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
         on conflict (payment) do update
         set account = excluded.account, amount = excluded.amount, currency = excluded.currency, "order" = excluded."order"`,
};

interface Options {
  readonly brokers: string[];
  readonly topic: string;
  readonly groupId: string;
  readonly shards: string[];
  /** Partitions handled at once, and connections over all shards. */
  readonly concurrency: number;
}

const { brokers, topic, groupId, shards, concurrency } = optionsOf<Options>();

const pools = shards.map((url) => new pg.Pool({ connectionString: url, max: Math.ceil(concurrency / shards.length) }));
const consumer = new Kafka({ clientId: 'upsert-batch', brokers, logLevel: logLevel.ERROR }).consumer({ groupId });
let applied = 0;

await consumer.connect();
await consumer.subscribe({ topic, fromBeginning: true });
await consumer.run({
  partitionsConsumedConcurrently: concurrency,
  eachBatch: async ({ batch }) => {
    const byPayment = new Map<string, Capture>();
    for (const message of batch.messages) {
      const payment = paymentOf(message.value);
      byPayment.set(payment.payment, payment);
    }
    const rows = [...byPayment.values()].sort((a, b) => (a.payment < b.payment ? -1 : 1));
    await pools[batch.partition % pools.length]?.query({ ...UPSERT, values: columnsOf(rows) });
    applied += batch.messages.length;
  },
});
reportProgress(() => applied);
say('ready');
process.once('SIGTERM', () => process.exit(0));

function columnsOf(rows: readonly Capture[]): string[][] {
  return [
    rows.map((row) => row.payment),
    rows.map((row) => row.account),
    rows.map((row) => row.amount),
    rows.map((row) => row.currency),
    rows.map((row) => row.order),
  ];
}
