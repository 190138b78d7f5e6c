/** Writes applied a second from a backlog: Millrace with its promises against writers with fewer. */
import { join } from 'node:path';
import { freePort } from '@millrace/local-cluster';
import type { Bench, Report } from '../harness/bench.ts';
import { nodeProgram, type Program } from '../harness/children.ts';
import { measureDrain, type Progress } from '../harness/drain.ts';
import { findRatio } from '../harness/findings.ts';
import { createInstallation, fund } from '../harness/installation.ts';
import { createTopic, deleteTopics, fill, recordsIn, type Filler } from '../harness/kafka.ts';
import { checkpoint, createDatabase, query } from '../harness/postgres.ts';
import { interleave, type Measure, type Side } from '../harness/rounds.ts';
import { jdbcSink } from '../peers/jdbc-sink.ts';
import { CREATE_PAYMENT_TABLE } from '../peers/payment-table.ts';
import { captureRecord } from '../writes.ts';

const SLOTS = 64;
const PEER_TOPIC = 'peer-apply';
const RUN = 'r00';
/** One row a message is so slow that a fifth of the backlog tells as much. */
const INSERT_EACH_SHARE = 0.2;
const UPSERT_CONCURRENCY = 4;
const FILL_ATTEMPTS = 5;

export async function apply(bench: Bench): Promise<Report> {
  const { servers, options } = bench;
  await fillPeerTopic(bench);
  const sides = [
    selfReporting(bench, { name: 'insert-each', share: INSERT_EACH_SHARE }),
    selfReporting(bench, { name: 'upsert-batch', share: 1 }),
    jdbc(bench, { name: 'jdbc-sink', unnest: false }),
    jdbc(bench, { name: 'jdbc-sink-unnest', unnest: true }),
    copy(bench),
    millraceApply(bench, { slots: SLOTS, name: 'millrace' }),
  ];
  const results = await interleave(sides, options.rounds);
  await deleteTopics(servers.brokers, PEER_TOPIC);
  const metric = 'recordsPerSecond';
  return {
    name: 'apply',
    title: 'Writes applied from a backlog',
    method: `${options.records} payment.capture records over ${SLOTS} partitions and 10,000 funded accounts, made like the gateway's, drained by one process; the rate over the last nine tenths. Millrace writes journal, payment, balance and position, exactly once, over two shards; the peers write the payment row only: the Node ones over the same two shards, the JDBC sink into one. COPY reads no Kafka.`,
    columns: DRAIN_COLUMNS,
    results,
    findings: [
      findRatio(results, { what: 'against the JDBC sink', a: 'millrace', b: 'jdbc-sink', metric, atLeast: 1.5 }),
      findRatio(results, { what: 'against the batch upsert', a: 'millrace', b: 'upsert-batch', metric, atLeast: 0.5 }),
    ],
  };
}

export const DRAIN_COLUMNS = [
  { metric: 'recordsPerSecond', title: 'applied/s' },
  { metric: 'writerCores', title: 'writer cores' },
  { metric: 'postgresCores', title: 'Postgres cores' },
  { metric: 'brokerCores', title: 'broker cores' },
  { metric: 'recordsPerCoreSecond', title: 'applied per core second (writer + Postgres)' },
];

/** Every record once: a doubled one ends the JDBC sink, whose rewritten batches may not hold one key twice. */
async function fillPeerTopic({ servers, options }: Bench): Promise<void> {
  for (let attempt = 1; attempt <= FILL_ATTEMPTS; attempt++) {
    await deleteTopics(servers.brokers, PEER_TOPIC);
    await createTopic(servers.brokers, { topic: PEER_TOPIC, partitions: SLOTS });
    await fill(servers.brokers, { topic: PEER_TOPIC, partitions: SLOTS, records: captures(RUN, options.records) });
    if ((await recordsIn(servers.brokers, PEER_TOPIC)) === options.records) return;
  }
  throw new Error('the producer doubled records in every attempt to fill the topic');
}

/** Millrace's writer on a fresh installation: accounts funded first, then the backlog, then the clock. */
export function millraceApply(bench: Bench, { slots, name }: { slots: number; name: string }): Side {
  const { servers, options } = bench;
  return {
    name,
    measure: async (round) => {
      const installation = await createInstallation(bench, { name: `${name}-${round}`, slots });
      const first = await installation.startWriter();
      await fund(installation);
      await first.stop();
      const funded = await installation.applied();
      await installation.fill(captures(RUN, options.records));
      await checkpoint(servers.postgres);
      const writer = await installation.startWriter();
      const measure = await measureDrain({
        servers,
        pid: writer.pid ?? -1,
        total: (await installation.stored()) - funded,
        progress: async () => ({ records: (await installation.applied()) - funded, atMs: performance.now() }),
      });
      await installation.remove();
      return measure;
    },
  };
}

function selfReporting(bench: Bench, { name, share }: { name: string; share: number }): Side {
  const { servers } = bench;
  return {
    name,
    measure: async (round) => {
      const shards = await paymentShards(bench);
      const total = Math.floor((await recordsIn(servers.brokers, PEER_TOPIC)) * share);
      const options = { brokers: servers.brokers, topic: PEER_TOPIC, groupId: `${name}-${round}`, shards, concurrency: UPSERT_CONCURRENCY };
      const child = bench.children.start(nodeProgram({ name, file: `peers/${name}.ts`, options }));
      let last: Progress = { records: 0, atMs: 0 };
      child.onMessage(({ event, atMs, records }) => {
        if (event === 'progress') last = { records: Number(records), atMs };
      });
      const measure = await measureDrain({ servers, pid: child.pid, total, progress: () => last });
      await child.stop();
      return measure;
    },
  };
}

function jdbc(bench: Bench, { name, unnest }: { name: string; unnest: boolean }): Side {
  return {
    name,
    measure: async (round) => {
      const [databaseUrl = ''] = await paymentShards(bench);
      const program: Program = await jdbcSink({
        name: `${name}-${round}`,
        dir: join(bench.dir, 'connect'),
        brokers: bench.servers.brokers,
        topic: PEER_TOPIC,
        databaseUrl,
        tasks: 2,
        restPort: await freePort(),
        unnest,
      });
      const child = bench.children.start(program);
      const progress = async () => ({ records: await rowsIn(databaseUrl), atMs: performance.now() });
      const measure = await measureDrain({ servers: bench.servers, pid: child.pid, total: bench.options.records, progress });
      await child.stop();
      return measure;
    },
  };
}

function copy(bench: Bench): Side {
  return {
    name: 'copy',
    measure: async (): Promise<Measure> => {
      const shards = await paymentShards(bench);
      const options = { shards, records: bench.options.records, run: RUN };
      const child = bench.children.start(nodeProgram({ name: 'copy', file: 'peers/copy.ts', options }));
      const before = bench.servers.cpuSeconds().postgres;
      const done = await child.event('done');
      const seconds = Number(done['seconds']);
      await child.exited;
      return { recordsPerSecond: bench.options.records / seconds, postgresCores: (bench.servers.cpuSeconds().postgres - before) / seconds };
    },
  };
}

/** Empty payment tables, one a shard. */
async function paymentShards({ servers }: Bench): Promise<readonly string[]> {
  const shards = await Promise.all(servers.postgres.map((url) => createDatabase(url, 'peer')));
  await Promise.all(shards.map((url) => query(url, CREATE_PAYMENT_TABLE)));
  await checkpoint(servers.postgres);
  return shards;
}

async function rowsIn(url: string): Promise<number> {
  const [row] = await query(url, 'select count(*) from payment');
  return Number(row?.['count']);
}

export function* captures(run: string, records: number): Iterable<Filler> {
  for (let i = 0; i < records; i++) yield captureRecord(run, i);
}
