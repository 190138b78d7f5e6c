/**
 * Lanes: how records get into a topic.
 *
 * L1 A slot belongs to one lane, the one of its leader broker; it changes lanes only between two requests of the old one.
 * L2 A lane has one request in flight; the next takes all that waits.
 * L3 What was not confirmed goes back to the head of its lane, so the records of a slot are stored in the order they
 *    were sent; a record whose confirmation was lost is stored again right behind its first copy.
 * L4 A record is resolved only with the offset that the broker gave it.
 */
import { backoffMs, sleep, type Log } from '@millrace/runtime';
import { assert, must, type Offset } from '@millrace/write';
import { connectLink, type BrokerLink } from './broker-link.ts';
import { KafkaUnavailable, LaneFull, LanesClosed, ProduceRefused, ProduceUnknown } from './errors.ts';
import { fetchLeaders, type Leaders } from './leaders.ts';
import { assertLaneLimits, BYTES_PER_REQUEST_MAX, giveUpMs, LEADERS_REFRESH_MS, RETRY_BASE_MS, RETRY_MAX_MS } from './limits.ts';
import { decodeProduceReply, encodeProduce, requestBytesMax, type PartitionReply } from './produce-codec.ts';
import { verdictOf } from './produce-errors.ts';
import type { KafkaClient, LaneLimits, LaneMetrics, Lanes, OutgoingRecord, Sent } from './types.ts';
import { bytesOf, confirmOne, group, refuseOne, refuseOneOf, type Batch, type Bytes, type Many, type Waiting } from './waiting.ts';

interface Lane {
  readonly node: number;
  queue: Waiting[];
  /** The queue starts here; what is before it has been taken. */
  head: number;
  running: boolean;
  failures: number;
  link: BrokerLink | undefined;
  correlationId: number;
}

const FIRST_LEADERS_RETRIES = 8;
/** Enough to ask another broker where one is down. */
const REFRESH_RETRIES = 2;

/** Opens the lanes of a topic. @throws KafkaUnavailable where the topic's leaders cannot be found. */
export async function createLanes(options: {
  readonly kafka: KafkaClient;
  readonly topic: string;
  readonly log: Log;
  readonly metrics?: LaneMetrics;
  readonly limits: LaneLimits;
}): Promise<Lanes> {
  const { kafka, topic, log, metrics, limits } = options;
  assertLaneLimits(limits);
  const bytesPerRequestMax = limits.bytesPerRequestMax ?? BYTES_PER_REQUEST_MAX;
  const lanes = new Map<number, Lane>();
  const queued = { records: 0, bytes: 0 };
  const stop = new AbortController();
  let roomWaiters: (() => void)[] = [];
  let leaders: Leaders = await fetchLeaders(kafka, topic, FIRST_LEADERS_RETRIES);
  let refreshing: Promise<void> | undefined;
  const laneOf: Lane[] = leaders.bySlot.map(laneFor);

  function laneFor(node: number): Lane {
    const existing = lanes.get(node);
    if (existing !== undefined) return existing;
    const lane: Lane = { node, queue: [], head: 0, running: false, failures: 0, link: undefined, correlationId: 0 };
    lanes.set(node, lane);
    return lane;
  }

  // ---- taking records in

  const hasRoom = (bytes: number): boolean =>
    queued.records === 0 || (queued.records < limits.queuedRecordsMax && queued.bytes + bytes <= limits.queuedBytesMax);

  function enqueue(record: OutgoingRecord, bytes: Bytes, waiting: Pick<Waiting, 'resolve' | 'reject' | 'many' | 'index'>): void {
    const lane = must(laneOf[record.slot], 'a record is sent to a slot of the topic');
    lane.queue.push({
      slot: record.slot,
      key: record.key,
      keyBytes: bytes.key,
      value: record.value,
      valueBytes: bytes.value,
      headers: record.headers,
      headersBytes: bytes.headers,
      sinceMs: performance.now(),
      maybeStored: false,
      resolve: waiting.resolve,
      reject: waiting.reject,
      many: waiting.many,
      index: waiting.index,
    });
    queued.records += 1;
    queued.bytes += bytes.total;
    wake(lane);
  }

  function send(record: OutgoingRecord): Promise<Sent> {
    if (stop.signal.aborted) return Promise.reject(new LanesClosed(topic));
    const bytes = bytesOf(record);
    if (!hasRoom(bytes.total)) return Promise.reject(new LaneFull(topic));
    return new Promise((resolve, reject) => {
      enqueue(record, bytes, { resolve, reject, many: undefined, index: 0 });
    });
  }

  async function sendMany(records: readonly OutgoingRecord[]): Promise<readonly Offset[]> {
    if (records.length === 0) return [];
    const { promise, resolve, reject } = Promise.withResolvers<readonly Offset[]>();
    const many: Many = { topic, offsets: new Array<Offset>(records.length), left: records.length, stored: 0, error: undefined, resolve, reject };
    for (const [index, record] of records.entries()) {
      const bytes = bytesOf(record);
      while (!hasRoom(bytes.total) && !stop.signal.aborted) await room();
      if (!stop.signal.aborted) enqueue(record, bytes, { resolve: undefined, reject: undefined, many, index });
      else refuseOneOf(many, new LanesClosed(topic));
    }
    return promise;
  }

  const room = (): Promise<void> =>
    new Promise((resolve) => {
      roomWaiters.push(resolve);
    });

  function released(records: readonly Waiting[]): void {
    if (records.length === 0) return;
    queued.records -= records.length;
    for (const record of records) queued.bytes -= record.keyBytes + record.valueBytes + record.headersBytes;
    assert(queued.records >= 0 && queued.bytes >= 0, 'what was released had been queued');
    metrics?.queued(queued);
    const waiters = roomWaiters;
    roomWaiters = [];
    for (const wakeUp of waiters) wakeUp();
  }

  // ---- a lane at work

  /** The requests that became readable in this turn of the event loop join the first one. */
  function wake(lane: Lane): void {
    if (lane.running) return;
    lane.running = true;
    setImmediate(() => void work(lane));
  }

  async function work(lane: Lane): Promise<void> {
    while (lane.head < lane.queue.length) {
      const batches = group(take(lane));
      await post(lane, batches);
      if (lane.failures > 0) await recover(lane);
      applyLeaders(lane);
      await nextTurn();
    }
    lane.running = false;
    applyLeaders(lane);
  }

  function take(lane: Lane): Waiting[] {
    let bytes = 0;
    let end = lane.head;
    while (end < lane.queue.length && end - lane.head < limits.recordsPerRequestMax) {
      const { keyBytes, valueBytes } = lane.queue[end] as Waiting;
      bytes += keyBytes + valueBytes;
      if (bytes > bytesPerRequestMax && end > lane.head) break;
      end += 1;
    }
    const taken = lane.queue.slice(lane.head, end);
    lane.head = end;
    if (lane.head === lane.queue.length || lane.head > 4 * limits.recordsPerRequestMax) {
      lane.queue = lane.queue.slice(lane.head);
      lane.head = 0;
    }
    return taken;
  }

  async function post(lane: Lane, batches: readonly Batch[]): Promise<void> {
    const startedAtMs = performance.now();
    const replies = await exchange(lane, batches);
    if (replies !== undefined) settle(lane, batches, replies, performance.now() - startedAtMs);
  }

  /** The broker's answer; undefined where there was none and the records are back at the head. */
  async function exchange(lane: Lane, batches: readonly Batch[]): Promise<readonly PartitionReply[] | undefined> {
    try {
      // An idle link that the broker closed has lost nothing.
      if (lane.link?.isOpen() === false) lane.link = undefined;
      lane.link ??= await connectTo(lane);
      return await request(lane, lane.link, batches);
    } catch (error) {
      log.warn({ error, topic, node: lane.node, failures: lane.failures }, 'produce request failed, it is tried again');
      const sent = lane.link !== undefined;
      lane.link?.close();
      lane.link = undefined;
      putBack(lane, batches, sent);
      return undefined;
    }
  }

  async function connectTo(lane: Lane): Promise<BrokerLink> {
    const address = leaders.addresses.get(lane.node);
    if (address === undefined) throw new KafkaUnavailable(`node ${lane.node} of topic ${topic} has no address`);
    return connectLink(kafka.route(address));
  }

  async function request(lane: Lane, link: BrokerLink, batches: readonly Batch[]): Promise<readonly PartitionReply[]> {
    lane.correlationId = (lane.correlationId + 1) & 0x7fff_ffff;
    const { correlationId } = lane;
    const produce = { correlationId, clientId: kafka.clientId, topic, timeoutMs: limits.requestTimeoutMs, batches };
    const buffer = link.scratch(requestBytesMax(produce));
    const reply = await link.request(buffer.subarray(0, encodeProduce(buffer, produce)), limits.requestTimeoutMs);
    return decodeProduceReply(reply, correlationId);
  }

  function settle(lane: Lane, batches: readonly Batch[], replies: readonly PartitionReply[], tookMs: number): void {
    const bySlot = new Map(replies.map((reply) => [reply.slot, reply]));
    const again: Batch[] = [];
    const errorCodes = new Set<number>();
    const stored: Waiting[] = [];
    for (const batch of batches) {
      const reply = must(bySlot.get(batch.slot), 'the reply names every slot of the request');
      const verdict = verdictOf(reply.errorCode);
      if (verdict === 'stored') confirm(batch.records, reply.baseOffset, stored);
      else if (verdict === 'refused') refuse(batch.records, new ProduceRefused(topic, reply.errorCode));
      else {
        errorCodes.add(reply.errorCode);
        if (verdict === 'unknown') for (const record of batch.records) record.maybeStored = true;
        again.push(batch);
      }
    }
    const before = queued.bytes;
    released(stored);
    // An answer that stored nothing is no sign of health.
    if (stored.length > 0) metrics?.requestStored({ records: stored.length, bytes: before - queued.bytes, tookMs });
    if (again.length === 0) {
      lane.failures = 0;
      return;
    }
    const slots = again.map(({ slot }) => slot);
    log.warn({ topic, node: lane.node, slots, kafkaErrorCodes: [...errorCodes] }, 'some slots were not stored, they are tried again');
    putBack(lane, again, false);
  }

  function confirm(records: readonly Waiting[], baseOffset: bigint, stored: Waiting[]): void {
    for (let i = 0; i < records.length; i += 1) {
      const record = records[i] as Waiting;
      stored.push(record);
      confirmOne(record, (baseOffset + BigInt(i)) as Offset);
    }
  }

  function refuse(records: readonly Waiting[], error: Error): void {
    for (const record of records) refuseOne(record, error);
    released(records);
  }

  // ---- when a request fails

  /** L3: back to the head, and those that have waited too long are given up. */
  function putBack(lane: Lane, batches: readonly Batch[], sent: boolean): void {
    lane.failures += 1;
    const back = batches.flatMap(({ records }) => records);
    if (sent) for (const record of back) record.maybeStored = true;
    const latestMs = performance.now() - giveUpMs(limits);
    const kept: Waiting[] = [];
    const unknown: Waiting[] = [];
    const unsent: Waiting[] = [];
    for (const record of [...back, ...lane.queue.slice(lane.head)]) {
      if (record.sinceMs > latestMs) kept.push(record);
      else if (record.maybeStored) unknown.push(record);
      else unsent.push(record);
    }
    lane.queue = kept;
    lane.head = 0;
    giveUp(unknown, new ProduceUnknown(topic));
    giveUp(unsent, new KafkaUnavailable(`topic ${topic} takes no records; they are not stored`));
  }

  function giveUp(records: readonly Waiting[], error: Error): void {
    if (records.length === 0) return;
    metrics?.requestUnknown({ records: records.length, error });
    refuse(records, error);
  }

  async function recover(lane: Lane): Promise<void> {
    await sleep(backoffMs(lane.failures, { baseMs: RETRY_BASE_MS, maxMs: RETRY_MAX_MS }));
    await refreshLeaders();
  }

  /** Never rejects: without an answer the lanes stay as they are. */
  function refreshLeaders(): Promise<void> {
    refreshing ??= fetchLeaders(kafka, topic, REFRESH_RETRIES)
      .then((fresh) => {
        leaders = fresh;
        for (const lane of lanes.values()) if (!lane.running) applyLeaders(lane);
      })
      .catch((error: unknown) => {
        log.debug({ error, topic }, 'leaders not refreshed');
      })
      .finally(() => {
        refreshing = undefined;
      });
    return refreshing;
  }

  /** L1: the lane has nothing in flight, so the slots that it no longer leads move on with what waits for them. */
  function applyLeaders(lane: Lane): void {
    let moved = false;
    for (const [slot, node] of leaders.bySlot.entries()) {
      if (laneOf[slot] !== lane || node === lane.node) continue;
      laneOf[slot] = laneFor(node);
      moved = true;
    }
    if (!moved) return;
    const waiting = lane.queue.slice(lane.head);
    lane.queue = [];
    lane.head = 0;
    for (const record of waiting) {
      const owner = must(laneOf[record.slot], 'every slot has a lane');
      owner.queue.push(record);
      if (owner !== lane) wake(owner);
    }
  }

  const timer = setInterval(() => void refreshLeaders(), LEADERS_REFRESH_MS).unref();

  const drain = async (): Promise<void> => {
    while (queued.records > 0) await room();
  };

  return {
    send,
    sendMany,
    hasRoom,
    queued: () => ({ ...queued }),
    drain,
    close: async () => {
      stop.abort();
      await drain();
      clearInterval(timer);
      await refreshing;
      for (const lane of lanes.values()) lane.link?.close();
    },
  };
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
