/** Which broker leads which slot of a topic. */
import { retry } from '@millrace/runtime';
import { connectLink } from './broker-link.ts';
import { KafkaUnavailable } from './errors.ts';
import { RETRY_BASE_MS, RETRY_MAX_MS } from './limits.ts';
import { decodeMetadata, encodeMetadata, type Metadata } from './metadata-codec.ts';
import type { BrokerAddress, KafkaClient } from './types.ts';

export interface Leaders {
  /** The node that leads each slot; `NO_LEADER` while there is none. */
  readonly bySlot: readonly number[];
  readonly addresses: ReadonlyMap<number, BrokerAddress>;
}

export const NO_LEADER = -1;
const METADATA_TIMEOUT_MS = 3_000;
const CORRELATION_ID = 1;

/** Asks the brokers, one after the other, and all of them again `retries` times. @throws KafkaUnavailable where none answers or the topic is not there. */
export async function fetchLeaders(kafka: KafkaClient, topic: string, retries: number): Promise<Leaders> {
  const ask = async (): Promise<Leaders> => leadersOf(await askAny(kafka, topic), topic);
  const signal = new AbortController().signal;
  try {
    return await retry(ask, { baseMs: RETRY_BASE_MS, maxMs: RETRY_MAX_MS, attemptsMax: retries + 1, signal, retryable: () => true });
  } catch (cause) {
    throw new KafkaUnavailable(`the leaders of topic ${topic} are not known`, { cause });
  }
}

function leadersOf({ brokers, errorCode, leaders }: Metadata, topic: string): Leaders {
  if (errorCode !== 0 || leaders.size === 0) throw new Error(`topic ${topic} has no partitions (Kafka's error code ${errorCode})`);
  return { bySlot: Array.from({ length: leaders.size }, (_, slot) => leaders.get(slot) ?? NO_LEADER), addresses: brokers };
}

/** @throws the last broker's error where none answers */
async function askAny(kafka: KafkaClient, topic: string): Promise<Metadata> {
  let failure: unknown;
  for (const broker of kafka.brokers) {
    try {
      return await askOne(kafka, addressOf(broker), topic);
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

async function askOne(kafka: KafkaClient, address: BrokerAddress, topic: string): Promise<Metadata> {
  const link = await connectLink(kafka.route(address));
  try {
    const frame = encodeMetadata({ correlationId: CORRELATION_ID, clientId: kafka.clientId, topic });
    return decodeMetadata(await link.request(frame, METADATA_TIMEOUT_MS), CORRELATION_ID);
  } finally {
    link.close();
  }
}

function addressOf(broker: string): BrokerAddress {
  const colon = broker.lastIndexOf(':');
  return { host: broker.slice(0, colon), port: Number(broker.slice(colon + 1)) };
}
