/**
 * Lanes: how records get into a topic.
 *
 * L1 A slot belongs to one lane, of its leader broker (`places.ts`); it changes lanes only between two requests of the
 *    old one, together with all that waits for it.
 * L2 A lane has one request in flight; the next takes what waits (`lane.ts`, `lane-queue.ts`).
 * L3 What was not confirmed goes back before what waits, so the records of a slot are stored in the order they were
 *    sent; a record whose confirmation was lost is stored again right behind its first copy.
 *    Of records that were sent together none is stored behind one of its slot that was given up.
 * L4 A record is resolved only with the offset that the broker gave it.
 * L5 A slot that its broker does not store waits in a side lane of that broker, on a connection of its own: the slots
 *    beside it go on.
 */
import { backoffMs, sleep, type Log } from '@millrace/runtime';
import { must, type Offset } from '@millrace/write';
import { createBacklog } from './backlog.ts';
import { connectLink, type BrokerLink } from './broker-link.ts';
import { KafkaUnavailable, LaneFull, LanesClosed } from './errors.ts';
import { createLane, hangUp, post, type Lane } from './lane.ts';
import { fetchLeaders, type Leaders } from './leaders.ts';
import { assertLaneLimits, BYTES_PER_REQUEST_MAX, FIRST_LEADERS_RETRIES, GATHER_RECORDS_MIN, giveUpMs, LEADERS_REFRESH_MS, REFRESH_RETRIES, RETRY_BASE_MS, RETRY_MAX_MS } from './limits.ts';
import { createPlaces } from './places.ts';
import { createSettling } from './settle.ts';
import type { BrokerAddress, KafkaClient, LaneLimits, LaneMetrics, Lanes, OutgoingRecord, Sent } from './types.ts';
import { bytesOf, refuseOneOf, type Batch, type Bytes, type Many, type Waiting } from './waiting.ts';

/** Opens the lanes of a topic. @throws KafkaUnavailable where the topic's leaders cannot be found. */
export async function createLanes(options: {
  readonly kafka: KafkaClient;
  readonly topic: string;
  readonly log: Log;
  readonly metrics?: LaneMetrics;
  readonly limits: LaneLimits;
}): Promise<Lanes> {
  const { kafka, topic } = options;
  return openLanes({
    ...options,
    clientId: kafka.clientId,
    leaders: await fetchLeaders(kafka, topic, FIRST_LEADERS_RETRIES),
    findLeaders: () => fetchLeaders(kafka, topic, REFRESH_RETRIES),
    connect: (address) => connectLink(kafka.route(address)),
  });
}

export interface LanesInput {
  readonly topic: string;
  readonly clientId: string;
  readonly log: Log;
  readonly metrics?: LaneMetrics;
  readonly limits: LaneLimits;
  readonly leaders: Leaders;
  readonly findLeaders: () => Promise<Leaders>;
  readonly connect: (address: BrokerAddress) => Promise<BrokerLink>;
}

/** The lanes of a topic, over any way to its brokers. */
export function openLanes(input: LanesInput): Lanes {
  const { topic, log, metrics, limits } = input;
  assertLaneLimits(limits);
  const { gatherMs = 0 } = limits;
  const requestLimits = { bytesPerRequestMax: BYTES_PER_REQUEST_MAX, ...limits };
  const stop = new AbortController();
  const backlog = createBacklog(limits, metrics);
  const places = createPlaces({ leaders: input.leaders, createLane: (node, kind) => createLane(node, kind, requestLimits), onArrival: wake });
  const settling = createSettling({ topic, log, metrics, backlog, places, giveUpMs: giveUpMs(limits) });
  const posting = { topic, log, clientId: input.clientId, requestTimeoutMs: limits.requestTimeoutMs, connect: connectTo };

  // ---- taking records in

  function enqueue(record: OutgoingRecord, bytes: Bytes, waiting: Pick<Waiting, 'sinceMs' | 'resolve' | 'reject' | 'many' | 'index'>): void {
    const lane = must(places.laneOf(record.slot), 'a record is sent to a slot of the topic');
    lane.queue.push({
      slot: record.slot,
      key: record.key,
      keyBytes: bytes.key,
      value: record.value,
      valueBytes: bytes.value,
      headers: record.headers,
      headersBytes: bytes.headers,
      sinceMs: waiting.sinceMs,
      maybeStored: false,
      resolve: waiting.resolve,
      reject: waiting.reject,
      many: waiting.many,
      index: waiting.index,
    });
    backlog.add(bytes.total);
    wake(lane);
  }

  function send(record: OutgoingRecord): Promise<Sent> {
    if (stop.signal.aborted) return Promise.reject(new LanesClosed(topic));
    const bytes = bytesOf(record);
    if (!backlog.hasRoom(bytes.total)) return Promise.reject(new LaneFull(topic));
    return new Promise((resolve, reject) => {
      enqueue(record, bytes, { sinceMs: performance.now(), resolve, reject, many: undefined, index: 0 });
    });
  }

  async function sendMany(records: readonly OutgoingRecord[], offsets = new Array<Offset>(records.length)): Promise<readonly Offset[]> {
    if (records.length === 0) return [];
    const { promise, resolve, reject } = Promise.withResolvers<readonly Offset[]>();
    // One deadline for all: who gives up one record gives up those that wait behind it.
    const sinceMs = performance.now();
    const many: Many = { topic, offsets, left: records.length, stored: 0, error: undefined, resolve, reject };
    for (const [index, record] of records.entries()) {
      const bytes = bytesOf(record);
      while (!backlog.hasRoom(bytes.total) && !stop.signal.aborted) await backlog.room();
      if (stop.signal.aborted) refuseOneOf(many, new LanesClosed(topic));
      else if (many.error) refuseOneOf(many, many.error);
      else enqueue(record, bytes, { sinceMs, resolve: undefined, reject: undefined, many, index });
    }
    return promise;
  }

  // ---- a lane at work

  /** The requests that became readable in this turn of the event loop join the first one. */
  function wake(lane: Lane): void {
    if (lane.running) return;
    lane.running = true;
    setImmediate(() => void work(lane));
  }

  async function work(lane: Lane): Promise<void> {
    // What comes into a side lane has just failed.
    if (lane.kind === 'side') await recover(lane);
    while (lane.queue.length > 0) {
      const batches = lane.queue.take();
      const startedAtMs = performance.now();
      const replies = await post(lane, batches, posting);
      if (replies === undefined) settling.unanswered(lane, batches);
      else settling.answered(lane, batches, replies, performance.now() - startedAtMs);
      places.move(lane);
      if (lane.failures > 0 && lane.queue.length > 0) await recover(lane);
      await (gatherMs > 0 && isSmall(batches) && lane.queue.length < GATHER_RECORDS_MIN ? sleep(gatherMs) : nextTurn());
      // Leaders may have changed meanwhile.
      places.move(lane);
    }
    lane.running = false;
    places.move(lane);
    if (lane.kind === 'side') rest(lane);
  }

  /** A side lane is not kept open for a slot that is well again, or that nobody sends to. */
  function rest(lane: Lane): void {
    lane.failures = 0;
    hangUp(lane);
  }

  async function connectTo(node: number): Promise<BrokerLink> {
    const address = places.addressOf(node);
    if (address === undefined) throw new KafkaUnavailable(`node ${node} of topic ${topic} has no address`);
    return input.connect(address);
  }

  // ---- when a request fails

  async function recover(lane: Lane): Promise<void> {
    await sleep(backoffMs(Math.max(1, lane.failures), { baseMs: RETRY_BASE_MS, maxMs: RETRY_MAX_MS }));
    await refreshLeaders();
    places.move(lane);
  }

  let refreshing: Promise<void> | undefined;

  /** Never rejects: without an answer the lanes stay as they are. */
  function refreshLeaders(): Promise<void> {
    refreshing ??= input
      .findLeaders()
      .then(places.setLeaders)
      .catch((error: unknown) => {
        log.debug({ error, topic }, 'leaders not refreshed');
      })
      .finally(() => {
        refreshing = undefined;
      });
    return refreshing;
  }

  const timer = setInterval(() => void refreshLeaders(), LEADERS_REFRESH_MS).unref();

  const drain = async (): Promise<void> => {
    while (backlog.records > 0) await backlog.room();
  };

  return {
    send,
    sendMany,
    hasRoom: backlog.hasRoom,
    queued: () => ({ records: backlog.records, bytes: backlog.bytes }),
    drain,
    close: async () => {
      stop.abort();
      await drain();
      clearInterval(timer);
      await refreshing;
      for (const lane of places.lanes()) hangUp(lane);
    },
  };
}

function isSmall(batches: readonly Batch[]): boolean {
  let records = 0;
  for (const batch of batches) records += batch.records.length;
  return records < GATHER_RECORDS_MIN;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
