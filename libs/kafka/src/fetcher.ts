/**
 * Reading many slots of a topic from their leaders: one fetch in flight for each broker, whoever else reads them.
 *
 * F1 A slot is read from where it was sought, then on behind what was handed over; what a fetch brings that was sent
 *    before the last seek, pause or drop of the slot is left out.
 * F2 A broker that fails costs the slots of the others nothing: each has a loop of its own.
 * F3 The slots that had records come last in the next fetch, so that none of them starves the others of its bytes.
 */
import { backoffMs, sleep } from '@millrace/runtime';
import { assert, must, type Slot } from '@millrace/write';
import { connectLink, type BrokerLink } from './broker-link.ts';
import { KafkaUnavailable } from './errors.ts';
import { decodeBatches, decodeFetchReply, type SlotReply } from './fetch-codec.ts';
import { OFFSET_OUT_OF_RANGE, requestFetch } from './fetch.ts';
import { fetchLeaders, NO_LEADER, type Leaders } from './leaders.ts';
import { LEADERS_REFRESH_MS, REFRESH_RETRIES, RETRY_BASE_MS, RETRY_MAX_MS } from './limits.ts';
import { topicOffsets } from './offsets.ts';
import type { KafkaClient, SlotBatch } from './types.ts';

export interface Fetcher {
  /** Begins with these leaders; what fails on Kafka's side from then on is tried again for ever. */
  start(leaders: Leaders): void;
  /** Reads the slot from the offset on, the first time or again. */
  seek(slot: Slot, offset: bigint): void;
  /** Leaves out the slot until it is resumed; a seek meanwhile is kept. */
  pause(slot: Slot): void;
  resume(slot: Slot): void;
  /** Forgets the slots that are not among these. */
  keepOnly(slots: ReadonlySet<Slot>): void;
  /** Reads nothing more. */
  stop(): void;
}

export interface FetcherOptions {
  readonly kafka: KafkaClient;
  readonly topic: string;
  /** Of one fetch from one broker. */
  readonly maxBytes: number;
  /** Keys and values are views of what was fetched: who keeps one keeps all of it. */
  readonly onBatch: (batch: SlotBatch) => void;
  /** A bug, or what `onBatch` throws: nothing is read any more. */
  readonly onBug: (error: Error) => void;
}

interface Reading {
  readonly slot: Slot;
  /** Undefined until it is sought. */
  next: bigint | undefined;
  paused: boolean;
}

/** What one fetch asks of a slot. */
interface Asked {
  readonly state: Reading;
  readonly slot: Slot;
  readonly offset: bigint;
}

/** How long an idle fetch waits for a first byte, and so how late a seek or resume takes effect where nothing comes. */
const FETCH_WAIT_MS = 100;
/** A fetch costs the same for one record as for a hundred: behind fewer than so many the broker gathers for a moment. */
const REST_RECORDS_MAX = 200;
const REST_MS = 5;
const LEADERLESS_LOOK_MS = 500;
const END_OF_TIME = 2n ** 63n - 1n;

export function createFetcher({ kafka, topic, maxBytes, onBatch, onBug }: FetcherOptions): Fetcher {
  const { log } = kafka;
  const stopping = new AbortController();
  const { signal } = stopping;
  const readings = new Map<Slot, Reading>();
  const loops = new Map<number, Promise<void>>();
  let leaders: Leaders = { bySlot: [], addresses: new Map() };
  let changed = Promise.withResolvers<void>();
  let doubt = Promise.withResolvers<void>();

  function readingOf(slot: Slot): Reading {
    const known = readings.get(slot);
    if (known) return known;
    const made: Reading = { slot, next: undefined, paused: false };
    readings.set(slot, made);
    return made;
  }

  /** Wakes the loops that have nothing to ask for. */
  function change(): void {
    changed.resolve();
    changed = Promise.withResolvers();
  }

  function askedOf(node: number): readonly Asked[] {
    const asked: Asked[] = [];
    for (const state of readings.values()) {
      if (state.next !== undefined && !state.paused && leaders.bySlot[state.slot] === node) asked.push({ state, slot: state.slot, offset: state.next });
    }
    return asked;
  }

  // ---- leaders

  function follow(next: Leaders): void {
    leaders = next;
    for (const node of leaders.addresses.keys()) startLoop(node);
    change();
  }

  async function watchLeaders(): Promise<void> {
    for (let failures = 0; !signal.aborted; ) {
      if (failures === 0) await restOrDoubt();
      else await sleep(backoffMs(failures, { baseMs: RETRY_BASE_MS, maxMs: RETRY_MAX_MS }), signal);
      try {
        follow(await fetchLeaders(kafka, topic, REFRESH_RETRIES));
        failures = 0;
      } catch (error) {
        failures += 1;
        log.debug({ error, topic }, 'leaders not refreshed');
      }
    }
  }

  async function restOrDoubt(): Promise<void> {
    const leaderless = [...readings.keys()].some((slot) => (leaders.bySlot[slot] ?? NO_LEADER) === NO_LEADER);
    const rest = new AbortController();
    const rested = sleep(leaderless ? LEADERLESS_LOOK_MS : LEADERS_REFRESH_MS, AbortSignal.any([signal, rest.signal])).catch(() => undefined);
    await Promise.race([rested, doubt.promise]);
    rest.abort();
    doubt = Promise.withResolvers();
  }

  // ---- one broker

  function startLoop(node: number): void {
    if (loops.has(node) || signal.aborted) return;
    loops.set(node, readFrom(node).catch(fail).finally(() => loops.delete(node)));
  }

  /** Until the broker is no longer named. */
  async function readFrom(node: number): Promise<void> {
    let link: BrokerLink | undefined;
    let failures = 0;
    try {
      for (let id = 0; !signal.aborted; id = (id + 1) & 0x7fff_ffff) {
        const asked = askedOf(node);
        if (asked.length === 0) {
          await changed.promise;
          continue;
        }
        const address = leaders.addresses.get(node);
        if (address === undefined) return;
        link = link?.isOpen() === true ? link : await connectLink(kafka.route(address), signal).catch(() => undefined);
        const answer = link && (await requestFetch(link, { correlationId: id, clientId: kafka.clientId, topic, maxWaitMs: FETCH_WAIT_MS, bytesMax: maxBytes, positions: asked }));
        if (signal.aborted) return;
        const took = answer === undefined ? undefined : await take(asked, decodeFetchReply(answer, id));
        if (took === undefined || took.failed.length > 0) await backOff(node, (failures += 1), took?.failed);
        else if (took.records < REST_RECORDS_MAX) await sleep(REST_MS, signal);
        if (took?.failed.length === 0) failures = 0;
      }
    } finally {
      link?.close();
    }
  }

  async function backOff(node: number, failures: number, failed: readonly SlotReply[] | undefined): Promise<void> {
    const facts = { topic, node, failures, ...(failed && { slots: failed.map(({ slot }) => slot), errorCode: failed[0]?.errorCode }) };
    // An outage is told once; the attempts after the first are detail.
    if (failures === 1) log.warn(facts, 'slots cannot be fetched, they are tried again');
    else log.debug(facts, 'slots can still not be fetched');
    doubt.resolve();
    await sleep(backoffMs(failures, { baseMs: RETRY_BASE_MS, maxMs: RETRY_MAX_MS }), signal);
  }

  async function take(asked: readonly Asked[], replies: readonly SlotReply[]): Promise<{ readonly records: number; readonly failed: readonly SlotReply[] }> {
    const bySlot = new Map(asked.map((one) => [one.slot as number, one]));
    const failed: SlotReply[] = [];
    let count = 0;
    for (const reply of replies) {
      const { state, slot, offset } = must(bySlot.get(reply.slot), 'the reply names slots that were asked for');
      if (readings.get(slot) !== state || state.next !== offset || state.paused) continue; // F1
      if (reply.errorCode !== 0) {
        if (reply.errorCode !== OFFSET_OUT_OF_RANGE || !(await startOver(state, offset))) failed.push(reply);
        continue;
      }
      if (reply.batches.length === 0) continue;
      const { records, next } = decodeBatches(reply, { from: offset, to: END_OF_TIME });
      if (next === undefined) throw new Error(`slot ${slot} of topic ${topic} at ${offset}: no whole record batch`);
      assert(next > offset, 'F1: a fetch goes forward');
      state.next = next;
      readings.delete(slot); // F3
      readings.set(slot, state);
      count += records.length;
      if (records.length > 0) onBatch({ slot, records, highWatermark: reply.highWatermark });
    }
    return { records: count, failed };
  }

  /** The log does not hold the offset: it is read from its start, and whoever gets the records tells by their offsets. False where nobody says where that is. */
  async function startOver(state: Reading, offset: bigint): Promise<boolean> {
    const ends = await topicOffsets({ kafka, topic, signal }).catch(() => []);
    const low = ends.find(({ slot }) => slot === state.slot)?.low;
    if (low === undefined) return false;
    log.warn({ topic, slot: state.slot, offset, low }, 'the log does not hold the offset, it is read from its start');
    if (state.next === offset) state.next = low;
    return true;
  }

  function stop(): void {
    stopping.abort();
    change();
  }

  function fail(error: unknown): void {
    if (signal.aborted) return;
    stop();
    onBug(error instanceof Error ? error : new KafkaUnavailable(String(error)));
  }

  return {
    start(first) {
      follow(first);
      void watchLeaders().catch(fail);
    },
    seek(slot, offset) {
      readingOf(slot).next = offset;
      change();
    },
    pause: (slot) => void (readingOf(slot).paused = true),
    resume(slot) {
      readingOf(slot).paused = false;
      change();
    },
    keepOnly(slots) {
      for (const slot of readings.keys()) if (!slots.has(slot)) readings.delete(slot);
    },
    stop,
  };
}
