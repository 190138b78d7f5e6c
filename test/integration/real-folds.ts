/**
 * A Millrace in memory, for tests of the ledger checker: both streams, each slot of each folded by the real folds of the
 * domain and of the sagas, with relays that publish what a journal says, late or again. Nothing happens but what a step
 * does; no two steps happen at once.
 */
import { tables, type AnyTable, type Message, type Row } from '@millrace/domain';
import type { JournalRow, LogRecord, ParkedRow, SlotRows } from '@millrace/ledger';
import { slotOf } from '@millrace/ring';
import { encodeWrite } from '@millrace/wire';
import { must, type Offset, type ShardId, type Slot, type Stream } from '@millrace/write';
import { foldTurn, parkedName, type ParkedEntry, type Seen } from '../../libs/slot-processor/src/fold.ts';
import type { LoggedRecord } from '../../libs/slot-processor/src/model.ts';
import { readRecord } from '../../libs/slot-processor/src/read.ts';
import { createWorkingSet, keyOf } from '../../libs/slot-processor/src/working-set.ts';
import { sagasModel } from '../../services/saga-orchestrator/src/model.ts';
import { writesModel } from '../../services/shard-writer/src/model.ts';

export const STREAMS: readonly Stream[] = ['writes', 'sagas'];
const MODELS = { writes: writesModel, sagas: sagasModel };

interface StreamSlot {
  readonly log: LoggedRecord[];
  readonly journal: Mutable<JournalRow>[];
  parked: ParkedEntry[];
  readonly seen: Map<string, Seen>;
  next: number;
  relayed: number;
  /** What turns since `relayed` send on. */
  unsent: (readonly object[])[];
  /** A relay that begins again has only what jsonb kept. */
  isAgain: boolean;
}
export type Mutable<T> = { -readonly [Field in keyof T]: T[Field] };

export interface SagaTimer {
  readonly key: string;
  readonly saga: string;
  readonly dueMs: bigint;
}

export function realFolds(owners: readonly ShardId[]) {
  const slots = owners.map(() => ({ writes: emptySlot(), sagas: emptySlot() }));
  const rows = new Map<AnyTable, Map<string, { readonly slot: number; readonly row: Row }>>(tables.map((table) => [table, new Map()]));
  let atMs = 1_700_000_000_000;
  let records = 0;

  function append(stream: Stream, key: string, value: string, slot: number = slotOf(key, owners.length)): void {
    const { log } = slots[slot]![stream];
    atMs += 7;
    log.push({ slot: slot as Slot, offset: BigInt(log.length) as Offset, key, value: Buffer.from(value), atMs });
  }

  /** As a client, an operator or a timer does. */
  function send(stream: Stream, key: string, type: string, data: unknown, idempotencyKey = `k${(records += 1)}`): void {
    append(stream, key, encodeWrite({ type, idempotencyKey, data }));
  }

  /** Applies so many records of a slot in one turn. */
  function apply(stream: Stream, slot: number, count = Infinity): boolean {
    const own = slots[slot]![stream];
    const batch = own.log.slice(own.next, own.next + count);
    const entries = batch.map((record) => readRecord(MODELS[stream], owners.length, record));
    const working = createWorkingSet();
    for (const entry of [...entries, ...own.parked.map(({ entry: waiting }) => waiting)]) {
      if (entry.kind === 'command') for (const ref of entry.command.reads) working.want(slot as Slot, ref);
    }
    for (const { table, keys } of working.wanted()) {
      for (const { key } of keys) {
        const found = rows.get(table)!.get([slot, ...key].join(' '));
        if (found) working.loaded(table, found.row);
      }
    }
    const folded = foldTurn(entries, { rows: working, seen: own.seen, parked: Map.groupBy(own.parked, ({ entry }) => parkedName(entry.record)) });
    for (const { table, added, changed } of working.dirty()) {
      for (const { row } of [...added, ...changed]) rows.get(table)!.set([slot, ...keyOf(table, row)].join(' '), { slot, row });
    }
    for (const { record, reason } of folded.parked) own.parked.push({ entry: readRecord(MODELS[stream], owners.length, record), reason });
    own.parked = own.parked.filter(({ entry }) => !folded.released.some(({ offset }) => offset === entry.record.offset));
    for (const row of folded.journal) own.journal.push(journalRow(row));
    own.unsent.push(...folded.journal.flatMap(({ messages }) => (messages === null ? [] : [messages])));
    own.journal.sort((a, b) => Number(a.offset - b.offset));
    own.next += batch.length;
    return batch.length > 0;
  }

  /** Publishes what the turns send on. One that dies before it notes how far it is publishes all of it again. */
  function relay(stream: Stream, slot: number, { isNoted = true } = {}): boolean {
    const own = slots[slot]![stream];
    if (own.relayed === own.next) return false;
    const messages = own.unsent.flat() as readonly Message[];
    for (const message of own.isAgain ? (asJsonb(messages) as readonly Message[]) : messages) append(message.stream, message.key, encodeWrite(message));
    own.isAgain = !isNoted;
    if (!isNoted) return true;
    own.relayed = own.next;
    own.unsent = [];
    return true;
  }

  function timers(): readonly SagaTimer[] {
    const sagas = [...rows.get(tables.find(({ name }) => name === 'saga')!)!.values()].map(({ row }) => row);
    return sagas.flatMap(({ key, saga, due_ms: dueMs }) => (dueMs === null ? [] : [{ key: String(key), saga: String(saga), dueMs: dueMs as bigint }]));
  }

  /** When it is due, or before, by a clock that is ahead. */
  function fire({ key, saga, dueMs }: SagaTimer, { isEarly = false } = {}): void {
    if (!isEarly) atMs = Math.max(atMs, Number(dueMs));
    send('sagas', key, 'saga.timeout', { saga, due_ms: Number(dueMs) }, `\u0001${saga}/timeout/${dueMs}/${atMs}`);
  }

  /** Until nothing is left to apply or to publish; then until each timer has fired. That of a parked key finds no one. */
  function drain(): void {
    const fired = new Set<string>();
    for (let isMoving = true; isMoving; ) {
      isMoving = false;
      for (const slot of owners.keys()) for (const stream of STREAMS) isMoving = [apply(stream, slot), relay(stream, slot)].includes(true) || isMoving;
      const due = isMoving ? [] : timers().filter(({ key, saga }) => fired.size < fired.add(`${key} ${saga}`).size);
      for (const timer of due) fire(timer);
      isMoving ||= due.length > 0;
    }
  }

  /** The logs and the rows as the checker sees them; what a test spoils there is spoilt nowhere else. */
  function world() {
    const logs = { writes: [] as LogRecord[], sagas: [] as LogRecord[] };
    for (const slot of slots) for (const stream of STREAMS) logs[stream].push(...slot[stream].log.map(logRecord));
    const ids = [...new Set(owners)];
    const shards = ids.map((shard) => ({ shard, slots: new Map([...owners.keys()].filter((slot) => owners[slot] === shard).map((slot) => [slot, slotRows(slot)])) }));
    return { owners, log: logs.writes, sagaLog: logs.sagas, shards };
  }

  function slotRows(slot: number): SlotRows {
    const rowsOf = (name: string): readonly Row[] => {
      const table = must(tables.find((one) => one.name === name), `a table ${name}`);
      return [...rows.get(table)!.values()].filter((found) => found.slot === slot).map(({ row }) => structuredClone(row));
    };
    const renamed = <T>(name: string, names: Readonly<Record<string, string>>): T[] =>
      rowsOf(name).map((row) => Object.fromEntries(Object.entries(row).map(([column, value]) => [names[column] ?? column, value])) as T);
    const streamRows = (stream: Stream) => {
      const { next, relayed, journal, parked } = slots[slot]![stream];
      const waiting = parked.map(({ entry: { record } }): ParkedRow => ({ offset: record.offset, key: record.key, value: record.value, atMs: record.atMs }));
      return { position: { nextOffset: BigInt(next), relayedOffset: BigInt(relayed) }, journal: structuredClone(journal), parked: waiting };
    };
    return {
      slotState: { state: 'ACTIVE', epoch: 1n, movedTo: null },
      streams: { writes: streamRows('writes'), sagas: streamRows('sagas') },
      accounts: renamed('account', {}),
      payments: renamed('payment', { order_id: 'orderId' }),
      orders: renamed('orders', {}),
      stock: renamed('stock', { on_hand: 'onHand' }),
      holds: renamed('hold', {}),
      sagas: renamed('saga', { due_ms: 'dueMs', started_ms: 'startedMs', changed_ms: 'changedMs' }),
    };
  }

  return { slots, append, send, apply, relay, timers, fire, drain, world };
}

function emptySlot(): StreamSlot {
  return { log: [], journal: [], parked: [], seen: new Map(), next: 0, relayed: 0, unsent: [], isAgain: false };
}

function logRecord({ slot, offset, key, value, atMs }: LoggedRecord): LogRecord {
  return { slot, offset, key: Buffer.from(key), value, timestampMs: atMs };
}

function journalRow({ record, bodyHash, digest, outcome, type, detail, messages }: ReturnType<typeof foldTurn>['journal'][number]): JournalRow {
  const { code = null, first = null, released_by: releasedBy = null, ...facts } = detail ?? {};
  return { offset: record.offset, bodyHash, atMs: record.atMs, digest, outcome, key: record.key, type, code, first, releasedBy, facts: Object.keys(facts).length === 0 ? null : facts, messages: asJsonb(messages) };
}

/** Postgres keeps fields by the length of their names, then by name. */
function asJsonb(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(asJsonb);
  if (typeof value !== 'object' || value === null) return value;
  const names = Object.keys(value).sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
  return Object.fromEntries(names.map((name) => [name, asJsonb((value as Record<string, unknown>)[name])]));
}
