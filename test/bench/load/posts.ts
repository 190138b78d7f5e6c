/**
 * Load generator: single POSTs of payments over keep-alive connections, in a process of its own.
 *
 * Without `ratePerSecond` each connection sends its next request as soon as the last is answered. With it, requests
 * are due at fixed instants and latency counts from when a request was due, so that a stall is not hidden
 * (coordinated omission). `probesPerSecond` of the writes are then also read back through `?after=`.
 */
import { optionsOf, say } from '../peers/say.ts';
import { openConnection, type Answer, type Connection } from './connection.ts';
import { createHistogram } from './histogram.ts';
import { sendAtRate } from './rate.ts';
import { postPayment, readPayment } from './requests.ts';

interface Options {
  readonly port: number;
  readonly apiKey: string;
  readonly run: string;
  readonly connections: number;
  readonly warmupSeconds: number;
  readonly seconds: number;
  readonly ratePerSecond?: number;
  readonly probesPerSecond?: number;
}

const PROBE_CONNECTIONS = 32;

const options = optionsOf<Options>();
const ack = createHistogram();
const readable = createHistogram();
const counts = { sent: 0, refused: 0, unread: 0 };
let measuring = false;
let stopped = false;

const connections = await Promise.all(Array.from({ length: options.connections }, () => openConnection({ ...options, onError })));
const probes = options.probesPerSecond === undefined ? [] : await Promise.all(Array.from({ length: PROBE_CONNECTIONS }, () => openConnection({ ...options, onError })));
const rated = options.ratePerSecond === undefined ? undefined : sendAtRate({ ratePerSecond: options.ratePerSecond, pool: connections, send: sendAck, isStopped, onError });
if (rated === undefined) connections.forEach(sendForEver);
if (options.probesPerSecond !== undefined) sendAtRate({ ratePerSecond: options.probesPerSecond, pool: probes, send: sendProbe, isStopped, onError });

setTimeout(measure, options.warmupSeconds * 1000);

function measure(): void {
  measuring = true;
  say('measuring');
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  setTimeout(() => {
    measuring = false;
    stopped = true;
    const acked = ack.count();
    // A server that stands still at the end is not let off what it has not even been sent.
    for (const dueAt of rated?.overdue ?? []) ack.record(performance.now() - dueAt);
    const seconds = (performance.now() - startedAt) / 1000;
    const { user, system } = process.cpuUsage(cpu);
    say('done', {
      seconds,
      acked,
      refused: counts.refused,
      unread: counts.unread,
      ackedPerSecond: acked / seconds,
      ackP50Ms: ack.quantile(0.5),
      ackP99Ms: ack.quantile(0.99),
      readable: readable.count(),
      readableP50Ms: readable.quantile(0.5),
      readableP99Ms: readable.quantile(0.99),
      generatorCores: (user + system) / 1e6 / seconds,
    });
    for (const connection of [...connections, ...probes]) connection.close();
    process.exit(0);
  }, options.seconds * 1000);
}

function isStopped(): boolean {
  return stopped;
}

function sendForEver(connection: Connection): void {
  const next = () => {
    if (!stopped) sendAck(connection, performance.now(), next);
  };
  next();
}

function sendAck(connection: Connection, dueAt: number, done: () => void): void {
  connection.send(postPayment(options, options.run, counts.sent++), ({ status }) => {
    if (status !== 202) refuse(status);
    else if (measuring) ack.record(performance.now() - dueAt);
    done();
  });
}

function sendProbe(connection: Connection, dueAt: number, done: () => void): void {
  const i = counts.sent++;
  connection.send(postPayment(options, options.run, i), (accepted) => {
    if (accepted.status !== 202) {
      refuse(accepted.status);
      return done();
    }
    connection.send(readPayment(options, options.run, i, receiptIn(accepted)), ({ status }) => {
      if (measuring && status === 200) readable.record(performance.now() - dueAt);
      else if (measuring) counts.unread += 1;
      done();
    });
  });
}

function receiptIn(answer: Answer): string {
  return (JSON.parse(answer.body()) as { receipt: string }).receipt;
}

function refuse(status: number): void {
  if (counts.refused === 0) process.stderr.write(`answered ${status}\n`);
  if (measuring) counts.refused += 1;
}

function onError(error: Error): void {
  process.stderr.write(`${error.stack ?? error.message}\n`);
  process.exit(1);
}
