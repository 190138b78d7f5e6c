/**
 * Following one slot of a topic without a group: from the oldest record that is kept, then whatever comes.
 *
 * T1 The next fetch begins behind what was handed over: a restart, a new leader or a lost connection neither repeats
 *    nor skips a record.
 * T2 A log that does not hold the next offset any more (records deleted, the topic made anew) is read from its start
 *    again: records may come twice.
 * T3 One reply is in memory, and nothing is fetched while it is handed over.
 */
import { backoffMs, sleep } from '@millrace/runtime';
import { AssertionFailed, must } from '@millrace/write';
import { connectLink, type BrokerLink } from './broker-link.ts';
import { KafkaUnavailable } from './errors.ts';
import { decodeBatches, decodeFetchReply } from './fetch-codec.ts';
import { OFFSET_OUT_OF_RANGE, requestFetch } from './fetch.ts';
import { fetchLeaders } from './leaders.ts';
import { REFRESH_RETRIES, RETRY_BASE_MS, RETRY_MAX_MS } from './limits.ts';
import { topicOffsets } from './offsets.ts';
import type { KafkaClient, SlotRecord } from './types.ts';

export interface TailOptions {
  readonly kafka: KafkaClient;
  readonly topic: string;
  readonly slot: number;
  /** At least one record, in offset order. Keys and values are views of what was fetched: copy what is kept. */
  readonly onRecords: (records: readonly SlotRecord[]) => Promise<void> | void;
  readonly signal: AbortSignal;
}

interface Tail extends TailOptions {
  /** To the slot's leader. */
  link: BrokerLink | undefined;
  correlationId: number;
  /** Undefined until the log has told where it begins. */
  next: bigint | undefined;
  /** In a row. */
  failures: number;
}

/** How long the broker holds an idle fetch. A record that comes meanwhile is answered at once. */
const FETCH_WAIT_MS = 1_000;
const END_OF_TIME = 2n ** 63n - 1n;

/**
 * Hands over every record of the slot until the signal aborts, and resolves then. Waits for `onRecords` before it
 * fetches more. What fails on Kafka's side is tried again for ever, a topic that is not there yet as well.
 * @throws what `onRecords` throws.
 */
export async function tailTopic(options: TailOptions): Promise<void> {
  const { signal, onRecords } = options;
  const tail: Tail = { ...options, link: undefined, correlationId: 0, next: undefined, failures: 0 };
  try {
    while (!signal.aborted) {
      const records = await nextRecords(tail);
      if (records.length > 0 && !signal.aborted) await onRecords(records);
    }
  } finally {
    tail.link?.close();
  }
}

/** What the next fetch brings; nothing where it failed, after a pause. */
async function nextRecords(tail: Tail): Promise<readonly SlotRecord[]> {
  try {
    tail.link ??= await connectToLeader(tail);
    const records = await fetchNext(tail, tail.link);
    tail.failures = 0;
    return records;
  } catch (error) {
    tail.link?.close();
    tail.link = undefined;
    if (error instanceof AssertionFailed) throw error;
    if (!tail.signal.aborted) await pause(tail, error);
    return [];
  }
}

async function connectToLeader({ kafka, topic, slot, signal }: Tail): Promise<BrokerLink> {
  const { bySlot, addresses } = await untilAborted(fetchLeaders(kafka, topic, REFRESH_RETRIES), signal);
  const address = addresses.get(must(bySlot[slot], `topic ${topic} has slot ${slot}`));
  if (address === undefined) throw new KafkaUnavailable(`slot ${slot} of topic ${topic} has no leader`);
  return connectLink(kafka.route(address), signal);
}

async function fetchNext(tail: Tail, link: BrokerLink): Promise<readonly SlotRecord[]> {
  const { kafka, topic, slot } = tail;
  const from = (tail.next ??= await untilAborted(oldestOffset(tail), tail.signal));
  const correlationId = (tail.correlationId = (tail.correlationId + 1) & 0x7fff_ffff);
  const answer = await requestFetch(link, { correlationId, clientId: kafka.clientId, topic, maxWaitMs: FETCH_WAIT_MS, positions: [{ slot, offset: from }] });
  if (answer === undefined) throw new KafkaUnavailable(`the leader of slot ${slot} of topic ${topic} does not answer`);
  const reply = must(decodeFetchReply(answer, correlationId)[0], 'the reply names the slot that was asked for');
  if (reply.errorCode === OFFSET_OUT_OF_RANGE) tail.next = undefined; // T2
  if (reply.errorCode !== 0) throw new KafkaUnavailable(`slot ${slot} of topic ${topic} at ${from}: Kafka answers with its error code ${reply.errorCode}`);
  const { records, next } = decodeBatches(reply, { from, to: END_OF_TIME });
  if (next === undefined && reply.batches.length > 0) throw new Error(`slot ${slot} of topic ${topic} at ${from}: no whole record batch`);
  tail.next = next ?? from; // T1
  return records;
}

async function oldestOffset({ kafka, topic, slot, signal }: Tail): Promise<bigint> {
  const offsets = await topicOffsets({ kafka, topic, signal });
  return must(offsets.find((one) => one.slot === slot), `topic ${topic} has slot ${slot}`).low;
}

async function pause(tail: Tail, error: unknown): Promise<void> {
  const { kafka, topic, slot, next } = tail;
  tail.failures += 1;
  const facts = { error, topic, slot, next, failures: tail.failures };
  // An outage is told once; the attempts after the first are detail.
  if (tail.failures === 1) kafka.log.warn(facts, 'the tail of a topic is cut off, it is tried again');
  else kafka.log.debug(facts, 'the tail of a topic is still cut off');
  await sleep(backoffMs(tail.failures, { baseMs: RETRY_BASE_MS, maxMs: RETRY_MAX_MS }), tail.signal).catch(() => undefined);
}

/** Rejects as soon as the signal aborts: a question to Kafka has no end of its own, its answer is then dropped. */
async function untilAborted<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => {
    aborted.reject(signal.reason);
  };
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([answer, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
