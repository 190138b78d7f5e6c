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
import { fetchLeaders, type Leaders } from './leaders.ts';
import { LEADERS_REFRESH_MS, REFRESH_RETRIES, RETRY_BASE_MS, RETRY_MAX_MS } from './limits.ts';
import { topicOffsets } from './offsets.ts';
import type { BrokerAddress, KafkaClient, SlotBatch } from './types.ts';

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
  /** Undefined until it is sought, and while the start of the log is looked for. */
  next: bigint | undefined;
  paused: boolean;
  /** Its broker did not give it lately: it is left out for a moment. */
  resting: boolean;
  /** In a row. */
  failures: number;
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
const REST_RECORDS_MAX = 100;
const REST_MS = 10;
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
    const made: Reading = { slot, next: undefined, paused: false, resting: false, failures: 0 };
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
      const { slot, next, paused, resting } = state;
      if (next !== undefined && !paused && !resting && leaders.bySlot[slot] === node) asked.push({ state, slot, offset: next });
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
      if (signal.aborted) return;
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
    const leaderless = leaders.bySlot.some((node) => !leaders.addresses.has(node));
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
    let linkedTo: BrokerAddress | undefined;
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
        if (link?.isOpen() === false || !isSame(linkedTo, address)) {
          link?.close();
          link = await connectLink(kafka.route(address), signal).catch(() => undefined);
          linkedTo = link && address;
        }
        const answer = link && (await requestFetch(link, { correlationId: id, clientId: kafka.clientId, topic, maxWaitMs: FETCH_WAIT_MS, bytesMax: maxBytes, positions: asked }));
        if (signal.aborted) return;
        if (answer === undefined) {
          await unanswered(node, (failures += 1));
          continue;
        }
        failures = 0;
        if (take(asked, decodeFetchReply(answer, id)) < REST_RECORDS_MAX) await sleep(REST_MS, signal);
      }
    } finally {
      link?.close();
    }
  }

  async function unanswered(node: number, failures: number): Promise<void> {
    // An outage is told once; the attempts after the first are detail.
    log[failures === 1 ? 'warn' : 'debug']({ topic, node, failures }, 'a broker does not answer fetches, it is asked again');
    doubt.resolve();
    await sleep(backoffMs(failures, { baseMs: RETRY_BASE_MS, maxMs: RETRY_MAX_MS }), signal);
  }

  /** How many records there were. */
  function take(asked: readonly Asked[], replies: readonly SlotReply[]): number {
    const bySlot = new Map(asked.map((one) => [one.slot as number, one]));
    const failed: SlotReply[] = [];
    let count = 0;
    for (const reply of replies) {
      const { state, slot, offset } = must(bySlot.get(reply.slot), 'the reply names slots that were asked for');
      if (readings.get(slot) !== state || state.next !== offset || state.paused) continue; // F1
      if (reply.errorCode === OFFSET_OUT_OF_RANGE) startOver(state, offset);
      else if (reply.errorCode !== 0) failed.push(reply);
      else count += takeRecords(state, offset, reply);
    }
    if (failed.length > 0) notGiven(failed);
    return count;
  }

  function takeRecords(state: Reading, offset: bigint, reply: SlotReply): number {
    const { slot } = state;
    state.failures = 0;
    if (reply.batches.length === 0) return 0;
    const { records, next } = decodeBatches(reply, { from: offset, to: END_OF_TIME });
    if (next === undefined) throw new Error(`slot ${slot} of topic ${topic} at ${offset}: no whole record batch`);
    assert(next > offset, 'F1: a fetch goes forward');
    state.next = next;
    readings.delete(slot); // F3
    readings.set(slot, state);
    // The broker reads its high watermark before the records, of which more may be readable by then.
    const highWatermark = reply.highWatermark > next ? reply.highWatermark : next;
    if (records.length > 0) onBatch({ slot, records, highWatermark });
    return records.length;
  }

  /** The broker does not lead these slots, or cannot read them: each is left out for a moment, and the others go on (F2). */
  function notGiven(failed: readonly SlotReply[]): void {
    const states = failed.map(({ slot }) => readingOf(slot as Slot));
    const facts = { topic, slots: failed.map(({ slot }) => slot), errorCode: failed[0]?.errorCode };
    log[states.some(({ failures }) => failures === 0) ? 'warn' : 'debug'](facts, 'slots cannot be fetched, they are tried again');
    doubt.resolve();
    for (const state of states) {
      state.failures += 1;
      state.resting = true;
      void sleep(backoffMs(state.failures, { baseMs: RETRY_BASE_MS, maxMs: RETRY_MAX_MS }), signal)
        .then(() => {
          state.resting = false;
          change();
        })
        .catch(() => undefined);
    }
  }

  /** The log does not hold the offset: it is read from its start, and whoever gets the records tells by their offsets. */
  function startOver(state: Reading, offset: bigint): void {
    const { slot } = state;
    state.next = undefined;
    void topicOffsets({ kafka, topic, signal })
      .catch(() => [])
      .then((ends) => {
        if (signal.aborted || readings.get(slot) !== state || state.next !== undefined) return;
        const low = ends.find((end) => end.slot === slot)?.low;
        if (low !== undefined) log.warn({ topic, slot, offset, low }, 'the log does not hold the offset, it is read from its start');
        // Where nobody says where it starts, the broker says again that it does not hold the offset.
        state.next = low ?? offset;
        change();
      })
      .catch(fail);
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

function isSame(a: BrokerAddress | undefined, b: BrokerAddress): boolean {
  return a?.host === b.host && a.port === b.port;
}
