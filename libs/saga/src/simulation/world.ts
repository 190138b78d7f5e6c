/**
 * The world of a schedule: slots with the logs of both streams, their rows and journals on the shard that owns them, and
 * the messages that are under way between journals and logs.
 *
 * The folds are the real ones. What moves them is the model: turns, relays, timers, clients and operators.
 */
import { hold as holdTable, saga as sagaTable, type HoldRow, type Message, type ParticipantKind, type Row, type SagaRef, type SagaRow } from '@millrace/domain';
import { must, type RoutingKey, type Stream } from '@millrace/write';
import { sagaOf } from '../row.ts';
import type { Saga } from '../saga.ts';
import type { Random } from './random.ts';
import type { Rule } from './rules.ts';

export const TENANT = 'demo';
export const STREAMS = ['writes', 'sagas'] as const satisfies readonly Stream[];
export const SHARDS = 2;
const SLOTS = 3;

export interface LogRecord {
  readonly key: RoutingKey;
  readonly type: string;
  readonly idempotencyKey: string;
  readonly data: unknown;
  readonly atMs: number;
}

export interface Slot {
  readonly id: number;
  /** The shard that owns it. */
  owner: number;
  readonly logs: Readonly<Record<Stream, LogRecord[]>>;
  /** By `nameOf`. */
  rows: Map<string, Row>;
  /** What every digest in the journal named first. */
  seen: Map<string, unknown>;
  /** The sagas that have a timer, by `nameOf`: the index over `due_ms`. */
  due: Map<string, SagaRow>;
  readonly positions: Record<Stream, number>;
  /** By offset, what the record sends on. */
  readonly journal: Readonly<Record<Stream, (readonly Message[])[]>>;
  /** On the shard: everything below is relayed. */
  readonly relayed: Record<Stream, number>;
  readonly relays: Record<Stream, Relay>;
}

/** The relay of a slot's stream, in the memory of the process that runs it. */
export interface Relay {
  readonly slot: Slot;
  readonly stream: Stream;
  /** Where its process lives. */
  readonly shard: number;
  /** The next row of the journal to publish. */
  tip: number;
  /** Of a zombie: what was in the journal when the slot moved away. */
  readonly end?: number;
}

/** A message that is published and not acknowledged. */
export interface Flight {
  readonly message: Message;
  /** Where its producer lives; a client and an operator do not crash. */
  readonly shard?: number;
  readonly relay?: Relay;
  readonly offset: number;
}

export interface World {
  readonly random: Random;
  readonly slots: readonly Slot[];
  nowMs: number;
  /** Under way: may arrive late, in any order, twice. */
  flights: Flight[];
  /** Of slots that moved away, by processes that do not know. */
  zombies: Relay[];
  /** By shard: the timers that its process has fired, and when by its clock. */
  readonly fired: readonly Map<string, number>[];
  /** How far the clock of the process on the first shard is ahead of the log's. */
  readonly aheadMs: number;
  /** The shard whose slots apply nothing. */
  down: number | undefined;
  /** Commands and replies that an operator skipped. */
  skipped: number;
  /** Where a client found the slot of a key, in every schedule. */
  slotOf(key: string): Slot;
  /** Every schedule keeps all rules; a test breaks one. */
  holds(rule: Rule): boolean;
  happens(what: string): void;
}

/** An invariant that does not hold. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

export function violates(what: string): never {
  throw new Violation(what);
}

export interface WorldInput {
  readonly random: Random;
  readonly broken: Rule | undefined;
  readonly aheadMs: number;
  readonly happens: (what: string) => void;
}

export function createWorld({ random, broken, aheadMs, happens }: WorldInput): World {
  const slots = Array.from({ length: SLOTS }, (_, id) => createSlot(id));
  return {
    random,
    slots,
    nowMs: 1_700_000_000_000,
    flights: [],
    zombies: [],
    fired: Array.from({ length: SHARDS }, () => new Map<string, number>()),
    aheadMs,
    down: undefined,
    skipped: 0,
    slotOf: (key) => must(slots[hashOf(key) % SLOTS], 'every key has a slot'),
    holds: (rule) => rule !== broken,
    happens,
  };
}

function createSlot(id: number): Slot {
  const owner = id % SHARDS;
  const slot: Omit<Slot, 'relays'> = {
    id,
    owner,
    logs: { writes: [], sagas: [] },
    rows: new Map(),
    seen: new Map(),
    due: new Map(),
    positions: { writes: 0, sagas: 0 },
    journal: { writes: [], sagas: [] },
    relayed: { writes: 0, sagas: 0 },
  };
  const whole = slot as Slot;
  return Object.assign(whole, { relays: { writes: createRelay(whole, 'writes'), sagas: createRelay(whole, 'sagas') } });
}

/** A process that begins knows what the shard says: it may publish again what its predecessor has published. */
export function createRelay(slot: Slot, stream: Stream): Relay {
  return { slot, stream, shard: slot.owner, tip: slot.relayed[stream] };
}

/** A row within its slot. */
export function nameOf(table: { readonly name: string }, key: readonly string[]): string {
  return `${table.name} ${key.join(' ')}`;
}

export function sagaAt(world: World, { key, saga }: SagaRef): Saga | undefined {
  const row = world.slotOf(key).rows.get(nameOf(sagaTable, [key, saga])) as SagaRow | undefined;
  return row && sagaOf(row);
}

/** What a participant keeps, or kept, for a saga. */
export function holdAt(world: World, { kind, id }: { readonly kind: ParticipantKind; readonly id: string }, sagaId: string): HoldRow | undefined {
  const key = `${TENANT}/${id}`;
  return world.slotOf(key).rows.get(nameOf(holdTable, [key, kind, sagaId])) as HoldRow | undefined;
}

/** Every row of a table, of all slots. */
export function rowsOf<R>(world: World, table: { readonly name: string }): readonly R[] {
  const prefix = `${table.name} `;
  const found: R[] = [];
  for (const { rows } of world.slots) for (const [name, row] of rows) if (name.startsWith(prefix)) found.push(row as R);
  return found;
}

function hashOf(key: string): number {
  let hash = 0;
  for (let index = 0; index < key.length; index++) hash = (hash * 31 + key.charCodeAt(index)) % 65_521;
  return hash;
}
