/** Real brokers as child processes: one, or three that replicate. Data and identity live in their directory. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { must } from '@millrace/write';

import { LOG4J, serverProperties, type Node } from './broker-config.ts';
import { createChild, type Child } from './child.ts';
import { sharedClassData } from './class-data.ts';
import { ensureKafkaJars, type KafkaJars } from './kafka-jars.ts';
import { answers, freePorts, isFree } from './ports.ts';
import { until } from './wait.ts';

const READY_TIMEOUT_MS = 90_000;
const STOP_TIMEOUT_MS = 30_000;
const MAIN = 'kafka.Kafka';

/**
 * Serial collection: least work on two shared cores, and the heap holds little beside the requests in flight. No second
 * compiler: in its first minutes it takes a quarter of a core, which is missing to everything else on the machine.
 */
const HEAP_ONE = ['-Xms512m', '-Xmx512m'];
const HEAP_THREE = ['-Xms384m', '-Xmx384m'];
const JVM = ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-XX:+ExitOnOutOfMemoryError', '-Djava.awt.headless=true'];

export interface Broker extends Child {
  readonly id: number;
  readonly port: number;
  readonly controllerPort: number;
  /** HOST:PORT of the client listener. */
  readonly address: string;
}

export interface BrokerOptions {
  /** Data, configuration and cluster id; used again where it holds them. */
  readonly dir: string;
  /** Ports to use where they are free; others are taken where they are not. By node, in order of id. */
  readonly ports?: readonly WishedPorts[];
  readonly logDir?: string;
  readonly overrides?: Readonly<Record<string, string>>;
}

export interface WishedPorts {
  readonly port?: number;
  readonly controllerPort?: number;
}

/** One broker, started. */
export async function startBroker(options: BrokerOptions): Promise<Broker> {
  const [broker] = await startBrokers(1, options);
  return must(broker, 'one broker was asked for');
}

/** One broker, or three with replication 3 and min.insync 2, all started. */
export async function startBrokers(count: 1 | 3, options: BrokerOptions): Promise<readonly Broker[]> {
  const brokers = await createBrokers(count, options);
  const started = await Promise.allSettled(brokers.map((broker) => broker.start()));
  const failed = started.find((one) => one.status === 'rejected');
  if (failed === undefined) return brokers;
  await Promise.all(brokers.map((broker) => broker.stop()));
  throw failed.reason;
}

/** The brokers on their ports, formatted, not started. */
export async function createBrokers(count: 1 | 3, options: BrokerOptions): Promise<readonly Broker[]> {
  const jars = await ensureKafkaJars();
  const archive = await sharedClassData(jars, (dir, java) => trial(dir, jars, java));
  return await assemble(count, options, jars, archive);
}

async function assemble(
  count: number,
  options: BrokerOptions,
  jars: KafkaJars,
  java: readonly string[],
): Promise<readonly Broker[]> {
  mkdirSync(options.dir, { recursive: true });
  const clusterId = clusterIdOf(options.dir);
  const nodes = await choosePorts(count, options.ports ?? []);
  return await Promise.all(nodes.map((node) => createBroker({ node, nodes, clusterId, java, jars, options })));
}

async function trial(dir: string, jars: KafkaJars, java: readonly string[]): Promise<void> {
  const broker = must((await assemble(1, { dir }, jars, java))[0], 'one broker was asked for');
  try {
    await broker.start();
  } finally {
    await broker.stop();
  }
}

interface Parts {
  readonly node: Node;
  readonly nodes: readonly Node[];
  readonly clusterId: string;
  readonly java: readonly string[];
  readonly jars: KafkaJars;
  readonly options: BrokerOptions;
}

async function createBroker({ node, nodes, clusterId, java, jars, options }: Parts): Promise<Broker> {
  const home = join(options.dir, `node-${node.id}`);
  const files = { data: join(home, 'data'), server: join(home, 'server.properties'), log4j: join(home, 'log4j2.xml') };
  mkdirSync(home, { recursive: true });
  const configure = (): void => {
    writeFileSync(files.log4j, LOG4J);
    writeFileSync(files.server, serverProperties({ node, nodes, dataDir: files.data, overrides: options.overrides }));
  };
  const quiet = `-Dlog4j2.configurationFile=file:${files.log4j}`;
  configure();
  await format({ clusterId, server: files.server, data: files.data, jars, quiet });
  const child = createChild({
    name: `kafka-${node.id}`,
    logFile: join(options.logDir ?? home, `kafka-${node.id}.log`),
    launch: () => {
      configure();
      const heap = nodes.length > 1 ? HEAP_THREE : HEAP_ONE;
      return { command: 'java', args: [...heap, ...JVM, ...java, '-cp', jars.classPath, quiet, MAIN, files.server] };
    },
    ready: (_pid, signal) =>
      until(() => answers(node.port), { timeoutMs: READY_TIMEOUT_MS, what: `broker ${node.id}`, signal }),
    stopSignal: 'SIGTERM',
    stopTimeoutMs: STOP_TIMEOUT_MS,
  });
  const { id, port, controllerPort } = node;
  return Object.assign(child, { id, port, controllerPort, address: `127.0.0.1:${port}` });
}

interface Format {
  readonly clusterId: string;
  readonly server: string;
  readonly data: string;
  readonly jars: KafkaJars;
  readonly quiet: string;
}

/** Writes the identity of a new data directory; an interrupted formatting is done again. */
async function format({ clusterId, server, data, jars, quiet }: Format): Promise<void> {
  const done = join(data, 'formatted');
  if (existsSync(done)) return;
  const brief = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-Xshare:auto', '-Xmx128m'];
  const tool = ['kafka.tools.StorageTool', 'format', '--ignore-formatted', '-t', clusterId, '-c', server];
  await promisify(execFile)('java', [...brief, '-cp', jars.classPath, quiet, ...tool]);
  writeFileSync(done, '');
}

function clusterIdOf(dir: string): string {
  const file = join(dir, 'cluster-id');
  if (!existsSync(file)) writeFileSync(file, newClusterId());
  return readFileSync(file, 'utf8').trim();
}

/** 16 random bytes, base64url; Kafka reads a leading '-' as an option. */
function newClusterId(): string {
  const id = randomBytes(16).toString('base64url');
  return id.startsWith('-') ? newClusterId() : id;
}

async function choosePorts(count: number, wished: readonly WishedPorts[]): Promise<readonly Node[]> {
  const spare = [...(await freePorts(count * 2))];
  const choose = async (port: number | undefined): Promise<number> =>
    port !== undefined && (await isFree(port)) ? port : must(spare.pop(), 'two spare ports a node');
  const nodes: Node[] = [];
  for (let index = 0; index < count; index += 1) {
    const { port, controllerPort } = wished[index] ?? {};
    nodes.push({ id: index + 1, port: await choose(port), controllerPort: await choose(controllerPort) });
  }
  return nodes;
}
