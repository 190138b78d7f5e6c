/**
 * The settings of kafkajs 2.2.4, in one place.
 *
 * All five retry keys are set, because kafkajs has other defaults where NODE_ENV is `test`. A request that timed
 * out leaves its socket open with a reply that nobody waits for: `cut` destroys it, so that the next request gets a
 * new connection.
 */
import type { Log } from '@millrace/runtime';
import kafkajs from 'kafkajs';
import type { ISocketFactory, LogEntry, logLevel as KafkaLogLevel } from 'kafkajs';
import { connect, type Socket } from 'node:net';
import { quietIdleConnections } from './kafkajs-timer.ts';
import type { BrokerAddress, KafkaClient, KafkaConnection } from './types.ts';

const CONNECTION_TIMEOUT_MS = 3_000;
const REQUEST_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_DELAY_MS = 10_000;
const RETRY = { initialRetryTime: 100, maxRetryTime: 2_000, factor: 0.2, multiplier: 2 } as const;
const RETRIES = 8;

interface KafkaOptions {
  /** `host:port`, at least one that answers. */
  readonly brokers: readonly string[];
  readonly clientId: string;
  readonly log: Log;
  /** Where to connect for an address that a broker advertises: a tunnel or a proxy. The same address without it. */
  readonly route?: (address: BrokerAddress) => BrokerAddress;
}

/** A client of these brokers; nothing connects before it is used. */
export function createKafka(options: KafkaOptions): KafkaClient {
  const { brokers, clientId, log, route = (address) => address } = options;
  quietIdleConnections();
  return {
    brokers,
    clientId,
    log,
    route,
    open: (settings = {}) => open({ brokers, clientId, log, route }, settings),
  };
}

function open(
  { brokers, clientId, log, route }: Required<KafkaOptions>,
  settings: { readonly requestTimeoutMs?: number; readonly retries?: number },
): KafkaConnection {
  const sockets = new Map<string, Set<Socket>>();
  const client = new kafkajs.Kafka({
    brokers: [...brokers],
    clientId,
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    requestTimeout: settings.requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
    enforceRequestTimeout: true,
    retry: { ...RETRY, retries: settings.retries ?? RETRIES, restartOnFailure: () => Promise.resolve(true) },
    socketFactory: socketFactory(sockets, route),
    logLevel: kafkajs.logLevel.WARN,
    logCreator: () => (entry) => {
      report(log, entry);
    },
  });
  return {
    kafkajs: client,
    cut: (broker) => {
      // kafkajs listens to 'error', not to 'close': only a socket that fails is noticed
      for (const socket of sockets.get(broker) ?? []) socket.destroy(new Error(`request to ${broker} timed out`));
    },
  };
}

function socketFactory(sockets: Map<string, Set<Socket>>, route: KafkaClient['route']): ISocketFactory {
  return ({ host, port, onConnect }) => {
    const broker = `${host}:${port}`;
    const socket = connect({ ...route({ host, port }), noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_DELAY_MS });
    socket.once('connect', onConnect);
    const open = sockets.get(broker) ?? new Set();
    sockets.set(broker, open.add(socket));
    socket.once('close', () => open.delete(socket));
    return socket;
  };
}

/** What kafkajs calls an error is weather to us: whoever asked gets the error and decides. */
function report(log: Log, { level, namespace, log: { message, timestamp: _timestamp, logger: _logger, ...facts } }: LogEntry): void {
  const severe: KafkaLogLevel = kafkajs.logLevel.ERROR;
  if (level === severe) log.warn({ ...facts, kafkajs: namespace }, message);
  else log.debug({ ...facts, kafkajs: namespace }, message);
}
