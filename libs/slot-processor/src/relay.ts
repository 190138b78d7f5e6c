/**
 * The relay: publishes what a turn committed, from memory; after a crash, from the journal.
 *
 * Events of a slot go out in offset order, those of records that a release let go right before the release. How far they
 * are is a hint (`relayed_offset`): an event may be published again, and every event carries (stream, slot, offset) so
 * that its receivers can drop it.
 */
import type { Message } from '@millrace/domain';
import type { Lanes, OutgoingRecord } from '@millrace/kafka';
import type { Database, Sql } from '@millrace/postgres';
import { slotOf } from '@millrace/ring';
import { retry } from '@millrace/runtime';
import { encodeOutcome, encodeWrite, RELEASE_TYPE } from '@millrace/wire';
import { must, type Offset, type ShardId, type Slot, type Stream } from '@millrace/write';
import type { JournalRow } from './fold.ts';
import { readJournal, readReleased, type JournalEvent } from './journal.sql.ts';
import { RELAY_CATCH_UP_ROWS_MAX, RELAY_TURNS_MAX, RETRY } from './limits.ts';
import type { ProcessorMetrics } from './metrics.ts';
import type { StreamModel } from './model.ts';
import { saveRelayed } from './position.sql.ts';
import type { TurnResult } from './turn.ts';

export interface Publishers {
  readonly outcomes: Lanes;
  /** Where messages go, by their stream. */
  readonly streams: ReadonlyMap<Stream, Lanes>;
}

export interface RelayInput {
  readonly shard: ShardId;
  readonly model: Pick<StreamModel, 'stream' | 'isPublic'>;
  /** S. */
  readonly slots: number;
  readonly database: Database;
  readonly publishers: Publishers;
  readonly metrics: ProcessorMetrics;
  readonly signal: AbortSignal;
  /** A bug: the process should end and start again from the rows. */
  readonly onBug: (error: unknown) => void;
}

export interface Relay {
  /** Takes a committed turn; its events go out behind those of the turns before it. */
  add(result: TurnResult): void;
  /** Resolves when another turn may be added. */
  room(): Promise<void>;
  /** How far the events of a slot are published, as far as this process knows. */
  relayedOf(slot: Slot): Offset;
  /** Writes the relay positions that no turn has written since. */
  save(): Promise<void>;
  /** Resolves when all that was added is published, or the signal aborts. */
  drain(): Promise<void>;
}

/** A stretch of one slot's log whose events are to be published. */
interface Stretch {
  readonly slot: Slot;
  /** Below it, events may be unpublished and are read from the journal: [missing, from). */
  readonly missing: Offset;
  readonly from: Offset;
  readonly to: Offset;
}

export function createRelay(input: RelayInput): Relay {
  const { shard, model, metrics, signal } = input;
  /** Handed to the chain; below it this process publishes or has published everything. */
  const tips = new Map<Slot, Offset>();
  const published = new Map<Slot, Offset>();
  const unsaved = new Set<Slot>();
  let chain = Promise.resolve();
  let turns = 0;
  let wake: (() => void) | undefined;
  const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  void aborted.then(() => wake?.());

  function add(result: TurnResult): void {
    const stretches = stretchesOf(result, tips);
    noteRelayed(result);
    if (stretches.length === 0) return;
    turns += 1;
    metrics.relayWaits(shard, turns);
    chain = chain.then(() => publishTurn(stretches, result)).finally(() => {
      turns -= 1;
      metrics.relayWaits(shard, turns);
      wake?.();
    });
    // After the abort of a drain, what is not out is published by the next owner from the journal.
    chain = chain.catch((error: unknown) => {
      if (!signal.aborted) input.onBug(error);
    });
  }

  /** What another process has published since; a slot may leave and come back. */
  function noteRelayed({ slots }: TurnResult): void {
    for (const result of slots) {
      if (result.kind === 'held') continue;
      if (result.kind === 'elsewhere') {
        published.delete(result.slot);
        unsaved.delete(result.slot);
      } else if (result.relayed > (published.get(result.slot) ?? 0n)) published.set(result.slot, result.relayed);
    }
  }

  async function publishTurn(stretches: readonly Stretch[], { journal }: TurnResult): Promise<void> {
    for (const stretch of stretches) if (stretch.missing < stretch.from) await catchUp(stretch);
    await publish(journal.map(eventOfRow));
    for (const { slot, to } of stretches) {
      // Elsewhere by now: its position is another shard's to tell.
      if (!tips.has(slot)) continue;
      if (to > (published.get(slot) ?? 0n)) published.set(slot, to);
      unsaved.add(slot);
    }
  }

  async function catchUp({ slot, missing, from: to }: Stretch): Promise<void> {
    for await (const rows of pages((page) => readJournal(model.stream, { slot, to, ...page }), missing)) {
      let out = 0;
      for (const [index, { type, outcome, offset }] of rows.entries()) {
        if (type !== RELEASE_TYPE || outcome !== 'applied') continue;
        await publish(rows.slice(out, index));
        await publishReleased(slot, offset);
        out = index;
      }
      await publish(rows.slice(out));
    }
  }

  /** What a release let go: it was committed with it, at older offsets, and has its place there. */
  async function publishReleased(slot: Slot, release: Offset): Promise<void> {
    for await (const released of pages((page) => readReleased(model.stream, { slot, release, ...page }), 0n as Offset)) await publish(released);
  }

  /** Rows of the journal from an offset on: so many at a time as memory is meant to hold, whatever they send. */
  async function* pages(sqlOf: (page: { readonly from: Offset; readonly rowsMax: number }) => Sql, first: Offset): AsyncGenerator<readonly JournalEvent[]> {
    for (let from = first; ; ) {
      const sql = sqlOf({ from, rowsMax: RELAY_CATCH_UP_ROWS_MAX });
      const rows = await keepTrying(() => input.database.query<JournalEvent>(sql));
      yield rows;
      if (rows.length < RELAY_CATCH_UP_ROWS_MAX) return;
      from = (must(rows.at(-1), 'a full page has a last row').offset + 1n) as Offset;
    }
  }

  async function publish(events: readonly JournalEvent[]): Promise<void> {
    if (events.length === 0) return;
    const told = events.filter((event) => model.isPublic(event)).map((event) => outcomeRecord(model.stream, event));
    const messages = [...messageRecords(events, input.slots)].map(([stream, records]) => ({
      records,
      lanes: must(input.publishers.streams.get(stream), `a publisher for stream ${stream}`),
    }));
    await Promise.all([{ lanes: input.publishers.outcomes, records: told }, ...messages].map(({ lanes, records }) => send(lanes, records)));
    metrics.relayed(shard, events.length);
  }

  /** A sick partition keeps the turns behind it waiting; what the others have stored is not sent to them again. */
  async function send(lanes: Lanes, records: readonly OutgoingRecord[]): Promise<void> {
    if (records.length === 0) return;
    let left = records;
    await keepTrying(async () => {
      const stored: Offset[] = [];
      try {
        await lanes.sendMany(left, stored);
      } catch (error) {
        left = notStored(left, stored);
        throw error;
      }
    });
  }

  /** The relay alone decides that an event is published again: as often as it takes. */
  function keepTrying<T>(work: () => Promise<T>): Promise<T> {
    const onRetry = ({ error, delayMs }: { error: unknown; delayMs: number }): void => metrics.relayFailed(shard, error, delayMs);
    return retry(work, { ...RETRY, signal, retryable: () => true, onRetry });
  }

  return {
    add,
    async room() {
      while (turns >= RELAY_TURNS_MAX && !signal.aborted) await new Promise<void>((resolve) => (wake = resolve));
    },
    relayedOf: (slot) => published.get(slot) ?? (0n as Offset),
    async save() {
      const relayed = [...unsaved].sort((a, b) => a - b).map((slot) => ({ slot, offset: published.get(slot) ?? (0n as Offset) }));
      if (relayed.length === 0) return;
      await input.database.query(saveRelayed(model.stream, relayed));
      for (const { slot, offset } of relayed) if (published.get(slot) === offset) unsaved.delete(slot);
    },
    drain: () => Promise.race([chain, aborted]),
  };
}

/** What a turn adds to publish, per slot; `tips` moves along. */
function stretchesOf({ slots }: TurnResult, tips: Map<Slot, Offset>): readonly Stretch[] {
  return slots.flatMap((result) => {
    if (result.kind === 'held') return [];
    if (result.kind === 'elsewhere') {
      tips.delete(result.slot);
      return [];
    }
    const [before, next] = result.kind === 'gap' ? [result.position, result.position] : [result.before, result.next];
    const tip = tips.get(result.slot) ?? result.relayed;
    const missing = tip > result.relayed ? tip : result.relayed;
    tips.set(result.slot, next);
    return missing < next ? [{ slot: result.slot, missing, from: before, to: next }] : [];
  });
}

function eventOfRow(row: JournalRow): JournalEvent {
  const { slot, offset, key, atMs } = row.record;
  return { slot, offset, at_ms: BigInt(atMs), key, type: row.type, outcome: row.outcome, detail: row.detail, messages: row.messages };
}

function outcomeRecord(stream: Stream, event: JournalEvent): OutgoingRecord {
  const { slot, key, type, outcome } = event;
  const at = new Date(Number(event.at_ms)).toISOString();
  const detail = event.detail === null ? {} : { detail: event.detail };
  return { slot, key, value: encodeOutcome({ stream, slot, offset: event.offset.toString(), key, type, outcome, ...detail, at }) };
}

/** Of each slot from the first that is not stored on, so that the last copies stand in order. */
function notStored(records: readonly OutgoingRecord[], stored: readonly (Offset | undefined)[]): readonly OutgoingRecord[] {
  const broken = new Set<number>();
  return records.filter(({ slot }, at) => {
    if (stored[at] === undefined) broken.add(slot);
    return broken.has(slot);
  });
}

function messageRecords(events: readonly JournalEvent[], slots: number): ReadonlyMap<Stream, OutgoingRecord[]> {
  const byStream = new Map<Stream, OutgoingRecord[]>();
  for (const { messages } of events) {
    for (const message of (messages ?? []) as readonly Message[]) {
      const records = byStream.get(message.stream) ?? [];
      records.push({ slot: slotOf(message.key, slots), key: message.key, value: encodeWrite(message) });
      byStream.set(message.stream, records);
    }
  }
  return byStream;
}
