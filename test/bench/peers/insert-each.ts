/** Peer: kafkajs `eachMessage`, one INSERT ON CONFLICT a message, 16 partitions at once over a pool of 16. */
import { Kafka, logLevel } from 'kafkajs';
import pg from 'pg';
import { paymentOf } from './payment-table.ts';
import { optionsOf, reportProgress, say } from './say.ts';

const CONCURRENCY = 16;
const INSERT = {
  name: 'insert_payment',
  text: `insert into payment (payment, account, amount, currency, "order") values ($1, $2, $3, $4, $5)
         on conflict (payment) do update
         set account = excluded.account, amount = excluded.amount, currency = excluded.currency, "order" = excluded."order"`,
};

const { brokers, topic, groupId, shards } = optionsOf<{ brokers: string[]; topic: string; groupId: string; shards: string[] }>();

const pools = shards.map((url) => new pg.Pool({ connectionString: url, max: Math.ceil(CONCURRENCY / shards.length) }));
const consumer = new Kafka({ clientId: 'insert-each', brokers, logLevel: logLevel.ERROR }).consumer({ groupId });
let applied = 0;

await consumer.connect();
await consumer.subscribe({ topic, fromBeginning: true });
await consumer.run({
  partitionsConsumedConcurrently: CONCURRENCY,
  eachMessage: async ({ partition, message }) => {
    const { payment, account, amount, currency, order } = paymentOf(message.value);
    const pool = pools[partition % pools.length];
    await pool?.query({ ...INSERT, values: [payment, account, amount, currency, order] });
    applied += 1;
  },
});
reportProgress(() => applied);
say('ready');
process.once('SIGTERM', () => process.exit(0));
