/** Acknowledged single POSTs a second, 64 connections, against hand glue and against a route without Kafka. */
import type { Bench, Report } from '../harness/bench.ts';
import { nodeProgram } from '../harness/children.ts';
import { createInstallation } from '../harness/installation.ts';
import { createTopic, deleteTopics } from '../harness/kafka.ts';
import { findRatio } from '../harness/findings.ts';
import { interleave, type Measure, type Side } from '../harness/rounds.ts';
import { cpuSecondsOf } from '../harness/usage.ts';

const CONNECTIONS = 64;
const WARMUP_SECONDS = 3;
const PARTITIONS = 64;
const PEER_TOPIC = 'peer-ack';

export async function ack(bench: Bench): Promise<Report> {
  const { servers, options } = bench;
  await createTopic(servers.brokers, { topic: PEER_TOPIC, partitions: PARTITIONS });
  // The broker compiles itself under its first load, which must not be any side's measurement.
  await peer(bench, 'glue-gateway').measure(0);
  const results = await interleave([peer(bench, 'accept-gateway'), peer(bench, 'glue-gateway'), millrace(bench)], options.rounds);
  await deleteTopics(servers.brokers, PEER_TOPIC);
  const metric = 'ackedPerSecond';
  return {
    name: 'ack',
    title: 'Acknowledged single POSTs',
    method: `${CONNECTIONS} keep-alive connections, each with one request in flight; payment.capture, a new idempotency key each; ${WARMUP_SECONDS} s of warm-up, ${options.seconds} s measured; one gateway process; no writer runs.`,
    columns: [
      { metric, title: 'acked/s' },
      { metric: 'ackP50Ms', title: 'p50 ms' },
      { metric: 'ackP99Ms', title: 'p99 ms' },
      { metric: 'serverCores', title: 'server cores' },
      { metric: 'brokerCores', title: 'broker cores' },
      { metric: 'generatorCores', title: 'generator cores' },
    ],
    results,
    findings: [
      findRatio(results, { what: 'against hand glue', a: 'millrace', b: 'glue-gateway', metric, atLeast: 2 }),
      findRatio(results, { what: 'against the 202 route', a: 'millrace', b: 'accept-gateway', metric, atLeast: 0.65 }),
    ],
  };
}

function peer(bench: Bench, name: string): Side {
  return {
    name,
    measure: async (round) => {
      const program = nodeProgram({ name, file: `peers/${name}.ts`, options: { brokers: bench.servers.brokers, topic: PEER_TOPIC } });
      const server = bench.children.start(program);
      const { port } = await server.event('ready');
      const measure = await loadOf(bench, { port: Number(port), apiKey: 'unused', pid: server.pid, run: runName(round) });
      await server.stop();
      return measure;
    },
  };
}

function millrace(bench: Bench): Side {
  return {
    name: 'millrace',
    measure: async (round) => {
      const installation = await createInstallation(bench, { name: `ack-${round}`, slots: PARTITIONS });
      const gateway = await installation.startGateway();
      const measure = await loadOf(bench, { port: installation.gatewayPort, apiKey: installation.apiKey, pid: gateway.pid ?? -1, run: runName(round) });
      await installation.remove();
      return measure;
    },
  };
}

interface Target {
  readonly port: number;
  readonly apiKey: string;
  readonly pid: number;
  readonly run: string;
}

async function loadOf({ children, servers, options }: Bench, { pid, ...target }: Target): Promise<Measure> {
  const load = { ...target, connections: CONNECTIONS, warmupSeconds: WARMUP_SECONDS, seconds: options.seconds };
  const generator = children.start(nodeProgram({ name: 'posts', file: 'load/posts.ts', options: load }));
  await generator.event('measuring');
  const before = { server: cpuSecondsOf(pid), broker: servers.cpuSeconds().broker };
  const done = await generator.event('done');
  const seconds = Number(done['seconds']);
  if (Number(done['refused']) > 0) throw new Error(`${String(done['refused'])} requests were not answered by 202`);
  return {
    ackedPerSecond: Number(done['ackedPerSecond']),
    ackP50Ms: Number(done['ackP50Ms']),
    ackP99Ms: Number(done['ackP99Ms']),
    serverCores: (cpuSecondsOf(pid) - before.server) / seconds,
    brokerCores: (servers.cpuSeconds().broker - before.broker) / seconds,
    generatorCores: Number(done['generatorCores']),
  };
}

function runName(round: number): string {
  return `a${String(round).padStart(2, '0')}`;
}
