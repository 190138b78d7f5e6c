/**
 * Load generator: orders due at fixed instants, and when each of them is seen to be confirmed.
 *
 * The end of an order is what any client sees of it: its transition to `confirmed` on topic `outcomes`, which comes
 * after the commit. Latency counts from when the POST was due, so that a stall is not hidden (coordinated omission).
 */
import { setTimeout as delay } from 'node:timers/promises';
import { kafkaOf } from '../harness/kafka.ts';
import { orderNumber, orderOf, postOrder, type OrderRun } from '../orders.ts';
import { optionsOf, say } from '../peers/say.ts';
import { openConnection, type Connection } from './connection.ts';
import { createHistogram } from './histogram.ts';
import { sendAtRate } from './rate.ts';

interface Options {
  readonly port: number;
  readonly apiKey: string;
  readonly brokers: readonly string[];
  readonly topic: string;
  readonly groupId: string;
  readonly connections: number;
  readonly warmupSeconds: number;
  readonly seconds: number;
  readonly ratePerSecond: number;
  readonly run: OrderRun;
}

const PARTITIONS_AT_ONCE = 64;
/** Between two fetches: what the generator takes of the machine is missing to the side under measurement. */
const REST_MS = 10;
const ENDS_TIMEOUT_MS = 60_000;

const options = optionsOf<Options>();
const ack = createHistogram();
const confirmed = createHistogram();
/** When those orders were due that count and are not seen to be confirmed. */
const open = new Map<number, number>();
let sent = 0;
let refused = 0;
let measuring = false;
let stopped = false;
/** kafkajs fetches again when every batch is handled. */
let resting: Promise<void> | undefined;

const consumer = kafkaOf(options.brokers).consumer({ groupId: options.groupId, maxWaitTimeInMs: 1_000 });
await watchEnds();
const connections = await Promise.all(Array.from({ length: options.connections }, () => openConnection({ ...options, onError })));
const { overdue } = sendAtRate({ ratePerSecond: options.ratePerSecond, pool: connections, send, isStopped: () => stopped, onError });
await delay(options.warmupSeconds * 1000);
measuring = true;
say('measuring');
const cpu = process.cpuUsage();
const startedAt = performance.now();
await delay(options.seconds * 1000);
const seconds = (performance.now() - startedAt) / 1000;
const { user, system } = process.cpuUsage(cpu);
measuring = false;
stopped = true;
const acked = ack.count();
const late = overdue.map((dueAt) => performance.now() - dueAt);
for (const ms of late) ack.record(ms);
await endsSeen();
// An order that was due and never sent waited at least until now.
for (const ms of late) confirmed.record(ms);
for (const dueAt of open.values()) confirmed.record(performance.now() - dueAt);
say('done', {
  seconds,
  ackedPerSecond: acked / seconds,
  refused,
  unended: open.size,
  ended: confirmed.count(),
  ackP50Ms: ack.quantile(0.5),
  ackP99Ms: ack.quantile(0.99),
  confirmedP50Ms: confirmed.quantile(0.5),
  confirmedP99Ms: confirmed.quantile(0.99),
  generatorCores: (user + system) / 1e6 / seconds,
});
process.exit(0);

/** Resolves once all partitions are assigned; what comes from then on is seen. */
async function watchEnds(): Promise<void> {
  await consumer.connect();
  await consumer.subscribe({ topic: options.topic, fromBeginning: false });
  const joined = new Promise<void>((resolve) => consumer.on(consumer.events.GROUP_JOIN, () => resolve()));
  await consumer.run({
    autoCommit: false,
    partitionsConsumedConcurrently: PARTITIONS_AT_ONCE,
    eachBatch: async ({ batch }) => {
      const now = performance.now();
      for (const { key, value } of batch.messages) if (value?.includes('"state":"confirmed"')) onConfirmed(String(key), now);
      await (resting ??= delay(REST_MS).then(() => (resting = undefined)));
    },
  });
  await joined;
}

function onConfirmed(key: string, now: number): void {
  const n = orderNumber(options.run.run, key.slice(key.indexOf('/') + 1));
  const dueAt = n === undefined ? undefined : open.get(n);
  if (n === undefined || dueAt === undefined) return;
  open.delete(n);
  confirmed.record(now - dueAt);
}

function send(connection: Connection, dueAt: number, done: () => void): void {
  const n = sent++;
  if (measuring) open.set(n, dueAt);
  connection.send(postOrder(options, orderOf(options.run, n)), ({ status }) => {
    if (status !== 202) refuse(status);
    else if (measuring) ack.record(performance.now() - dueAt);
    done();
  });
}

async function endsSeen(): Promise<void> {
  const deadline = performance.now() + ENDS_TIMEOUT_MS;
  while (open.size > 0 && performance.now() < deadline) await delay(20);
}

function refuse(status: number): void {
  if (refused === 0) process.stderr.write(`answered ${status}\n`);
  refused += 1;
}

function onError(error: Error): void {
  process.stderr.write(`${error.stack ?? error.message}\n`);
  process.exit(1);
}
