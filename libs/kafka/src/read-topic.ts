/**
 * Reading a whole topic, once, without a group: kafkajs reads only in one.
 *
 * The end is what was there when the read began. Offsets may have gaps (compaction, transactions), also at the end:
 * a slot is finished when its position passes its end, or when the broker has nothing more for any slot asked for.
 */
import { backoffMs, sleep } from '@millrace/runtime';
import { must, type Slot } from '@millrace/write';
import { connectLink, type BrokerLink } from './broker-link.ts';
import { KafkaUnavailable } from './errors.ts';
import { decodeBatches, decodeFetchReply, type SlotReply } from './fetch-codec.ts';
import { OFFSET_OUT_OF_RANGE, requestFetch } from './fetch.ts';
import { fetchLeaders } from './leaders.ts';
import { RETRY_BASE_MS, RETRY_MAX_MS } from './limits.ts';
import { topicOffsets } from './offsets.ts';
import type { KafkaClient, SlotRecord } from './types.ts';

const FETCH_WAIT_MS = 50;
/** Failures in a row, without a record between them, before the read is given up. */
const FAILURES_MAX = 20;

type OnRecords = (slot: Slot, records: readonly SlotRecord[]) => Promise<void> | void;

interface Reading {
  readonly kafka: KafkaClient;
  readonly topic: string;
  readonly onRecords: OnRecords;
  readonly signal: AbortSignal;
  /** What is still to be read, by slot. */
  readonly open: Map<number, { next: bigint; readonly end: bigint }>;
  failures: number;
}

/**
 * Hands over every record from the start of each slot to its high watermark at the time of the call, in offset order
 * per slot. Waits for `onRecords`, one call at a time per broker, while the next fetch is under way. Keys and values
 * are views of what was fetched: copy what is kept.
 * @throws the signal's reason; what `onRecords` throws; KafkaUnavailable after 20 failures in a row, or what kafkajs
 * throws when the ends of the topic are not told; Error where a record to read was deleted meanwhile, or is packed in
 * a way that is not read here.
 */
export async function readTopic(options: {
  readonly kafka: KafkaClient;
  readonly topic: string;
  readonly onRecords: OnRecords;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { kafka, topic, signal } = options;
  signal.throwIfAborted();
  const offsets = await topicOffsets({ kafka, topic, signal });
  const open = new Map(offsets.filter(({ low, high }) => low < high).map(({ slot, low, high }) => [slot as number, { next: low, end: high }]));
  const reading: Reading = { ...options, open, failures: 0 };
  while (open.size > 0) {
    await readFromLeaders(reading);
    if (open.size === 0) return;
    reading.failures += 1;
    if (reading.failures > FAILURES_MAX) throw new KafkaUnavailable(`${open.size} slots of topic ${topic} cannot be read`);
    await sleep(backoffMs(reading.failures, { baseMs: RETRY_BASE_MS, maxMs: RETRY_MAX_MS }), signal);
  }
}

/** One pass over the brokers; slots stay open where a broker failed or no longer leads. */
async function readFromLeaders(reading: Reading): Promise<void> {
  const { bySlot, addresses } = await fetchLeaders(reading.kafka, reading.topic, FAILURES_MAX);
  const passes = [...addresses].map(async ([node, address]) => {
    const slots = [...reading.open.keys()].filter((slot) => bySlot[slot] === node);
    if (slots.length === 0) return;
    const link = await connectLink(reading.kafka.route(address), reading.signal).catch(() => undefined);
    if (link === undefined) return;
    try {
      await readFrom(reading, link, slots);
    } finally {
      link.close();
    }
  });
  const failed = (await Promise.allSettled(passes)).find((pass) => pass.status === 'rejected');
  reading.signal.throwIfAborted();
  if (failed !== undefined) throw failed.reason;
}

async function readFrom(reading: Reading, link: BrokerLink, slots: readonly number[]): Promise<void> {
  let correlationId = 0;
  let asked = slots.filter((slot) => reading.open.has(slot));
  let reply = fetch(reading, link, asked, correlationId);
  for (;;) {
    const answer = await reply;
    reading.signal.throwIfAborted();
    if (answer === undefined) return;
    const replies = decodeFetchReply(answer, correlationId);
    const records = advance(reading, replies);
    const failed = new Set(replies.filter(({ errorCode }) => errorCode !== 0).map(({ slot }) => slot));
    asked = asked.filter((slot) => reading.open.has(slot) && !failed.has(slot)); // the failed ones: in the next pass
    correlationId += 1;
    if (asked.length > 0) reply = fetch(reading, link, asked, correlationId);
    for (const { slot, batch } of records) await reading.onRecords(slot, batch);
    if (asked.length === 0) return;
  }
}

function fetch(reading: Reading, link: BrokerLink, slots: readonly number[], correlationId: number): Promise<Buffer | undefined> {
  return requestFetch(link, {
    correlationId,
    clientId: reading.kafka.clientId,
    topic: reading.topic,
    maxWaitMs: FETCH_WAIT_MS,
    positions: slots.map((slot) => ({ slot, offset: must(reading.open.get(slot), 'only open slots are fetched').next })),
  });
}

function advance(reading: Reading, replies: readonly SlotReply[]): readonly { readonly slot: Slot; readonly batch: readonly SlotRecord[] }[] {
  const handed: { readonly slot: Slot; readonly batch: readonly SlotRecord[] }[] = [];
  const nothingMore = replies.every(({ errorCode, batches }) => errorCode === 0 && batches.length === 0);
  for (const reply of replies) {
    const state = must(reading.open.get(reply.slot), 'the reply names slots that were asked for');
    if (reply.errorCode === OFFSET_OUT_OF_RANGE) throw new Error(`topic ${reading.topic}, slot ${reply.slot}: offset ${state.next} is no longer kept`);
    const { records, next } = decodeBatches(reply, { from: state.next, to: state.end });
    if (next !== undefined && next > state.next) state.next = next;
    if (state.next >= state.end || nothingMore) reading.open.delete(reply.slot);
    if (records.length === 0) continue;
    reading.failures = 0;
    handed.push({ slot: reply.slot as Slot, batch: records });
  }
  return handed;
}
