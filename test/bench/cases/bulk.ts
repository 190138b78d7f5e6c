/** Acknowledged NDJSON writes a second through one gateway, against Kafka's own producer benchmark. */
import type { Bench, Report } from '../harness/bench.ts';
import { nodeProgram, type Message } from '../harness/children.ts';
import { findRatio } from '../harness/findings.ts';
import { createInstallation } from '../harness/installation.ts';
import { createTopic, deleteTopics } from '../harness/kafka.ts';
import { interleave, type Side } from '../harness/rounds.ts';
import { cpuSecondsOf } from '../harness/usage.ts';
import { producerPerf } from '../peers/producer-perf.ts';

const CONNECTIONS = 4;
const RECORDS_PER_REQUEST = 25_000;
const PARTITIONS = 64;
const PEER_TOPIC = 'peer-bulk';
const WARMUP_SHARE = 0.25;

export async function bulk(bench: Bench): Promise<Report> {
  const { servers, options } = bench;
  const results = await interleave([producer(bench), millrace(bench)], options.rounds);
  await deleteTopics(servers.brokers, PEER_TOPIC);
  const metric = 'ackedPerSecond';
  return {
    name: 'bulk',
    title: 'Acknowledged bulk writes',
    method: `${options.records} payment.capture writes after a warm-up of a quarter of that. Millrace: NDJSON in bodies of ${RECORDS_PER_REQUEST} lines over ${CONNECTIONS} connections, one gateway process, no writer runs. Peer: org.apache.kafka.tools.ProducerPerformance, acks=all, the same values without keys.`,
    columns: [
      { metric, title: 'acked/s' },
      { metric: 'serverCores', title: 'server cores' },
      { metric: 'brokerCores', title: 'broker cores' },
      { metric: 'generatorCores', title: 'generator cores' },
    ],
    results,
    findings: [findRatio(results, { what: 'against the producer benchmark', a: 'millrace', b: 'producer-perf', metric, atLeast: 0.5 })],
  };
}

function producer({ servers, options, dir }: Bench): Side {
  return {
    name: 'producer-perf',
    measure: async () => {
      await deleteTopics(servers.brokers, PEER_TOPIC);
      await createTopic(servers.brokers, { topic: PEER_TOPIC, partitions: PARTITIONS });
      const warmupRecords = Math.round(options.records * WARMUP_SHARE);
      return { ackedPerSecond: await producerPerf({ dir, brokers: servers.brokers, topic: PEER_TOPIC, records: options.records, warmupRecords }) };
    },
  };
}

function millrace(bench: Bench): Side {
  const { servers, options } = bench;
  return {
    name: 'millrace',
    measure: async (round) => {
      const installation = await createInstallation(bench, { name: `bulk-${round}`, slots: PARTITIONS });
      const gateway = await installation.startGateway();
      const pid = gateway.pid ?? -1;
      const target = { port: installation.gatewayPort, apiKey: installation.apiKey };
      const warmup = Math.round(options.records * WARMUP_SHARE);
      await sendBulk(bench, { ...target, run: 'w00', from: 0, records: warmup });
      const before = { server: cpuSecondsOf(pid), broker: servers.cpuSeconds().broker };
      const done = await sendBulk(bench, { ...target, run: 'b00', from: 0, records: options.records });
      const seconds = Number(done['seconds']);
      const measure = {
        ackedPerSecond: Number(done['ackedPerSecond']),
        serverCores: (cpuSecondsOf(pid) - before.server) / seconds,
        brokerCores: (servers.cpuSeconds().broker - before.broker) / seconds,
        generatorCores: Number(done['generatorCores']),
      };
      await installation.remove();
      return measure;
    },
  };
}

export interface BulkLoad {
  readonly port: number;
  readonly apiKey: string;
  readonly run: string;
  readonly from: number;
  readonly records: number;
}

/** Sends NDJSON writes and answers what the generator reports. @throws Error where a line was not acknowledged. */
export async function sendBulk({ children }: Bench, load: BulkLoad): Promise<Message> {
  const options = { ...load, connections: CONNECTIONS, recordsPerRequest: RECORDS_PER_REQUEST };
  const generator = children.start(nodeProgram({ name: 'bulk', file: 'load/bulk.ts', options }));
  const done = await generator.event('done');
  if (Number(done['refused']) > 0 || Number(done['acked']) !== load.records) {
    throw new Error(`${String(done['acked'])} of ${load.records} lines were acknowledged, ${String(done['refused'])} refused`);
  }
  return done;
}
