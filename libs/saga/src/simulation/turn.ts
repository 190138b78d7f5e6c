/** A turn: the next records of a slot's stream, folded into its rows and its journal. Crashes come between turns. */
import { commandTypes, saga as sagaTable, SAGA_REPLY, SAGA_TIMEOUT, writeTypes, type At, type Change, type Decision, type Message, type Rows, type SagaRow, type Table } from '@millrace/domain';
import { AssertionFailed, digestOf, must, tenantOf, type Offset, type Stream } from '@millrace/write';
import { sagaRecordTypes } from '../records.ts';
import type { Breakage, Fold } from './broken.ts';
import type { Invariants } from './invariants.ts';
import { nameOf, violates, type LogRecord, type Slot, type World } from './world.ts';

const NOTHING: readonly Message[] = [];

export interface Turns {
  /** Applies the next record; false where there is none, or the shard is down. */
  next(slot: Slot, stream: Stream): boolean;
  /** An operator skips the next command, reply or timeout, which cannot be applied: it is refused, and moves and answers nobody. */
  skip(slot: Slot, stream: Stream): void;
}

export function createTurns(world: World, invariants: Invariants, breakage: Breakage): Turns {
  function next(slot: Slot, stream: Stream): boolean {
    const record = slot.logs[stream][slot.positions[stream]];
    if (record === undefined || slot.owner === world.down) return false;
    const offset = slot.positions[stream]++;
    const digest = digestOf(record.key, record.idempotencyKey);
    const isKnown = slot.seen.has(digest);
    if (isKnown && !isSame(slot.seen.get(digest), record.data)) violates(`S1: ${record.idempotencyKey} of ${record.key} names two messages`);
    slot.seen.set(digest, record.data);
    if (isKnown && world.holds('dedup')) {
      slot.journal[stream][offset] = NOTHING;
      world.happens('a record comes twice');
      return true;
    }
    slot.journal[stream][offset] = apply(slot, stream, record, offset).messages ?? NOTHING;
    return true;
  }

  function apply(slot: Slot, stream: Stream, record: LogRecord, offset: number): Decision {
    const { type, key, atMs } = record;
    const recordType = must(stream === 'sagas' ? sagaRecordTypes.get(type) : (commandTypes.get(type) ?? writeTypes.get(type)), `there is a type ${type}`);
    const data = recordType.schema.parse(record.data);
    const at: At = { key, tenant: must(tenantOf(key), 'a key has a tenant'), atMs, offset: BigInt(offset) as Offset };
    const rows: Rows = { get: <R>(table: Table<R>, rowKey: readonly string[]) => slot.rows.get(nameOf(table, rowKey)) as R | undefined };
    const fold: Fold = { stream, type, data: data as Fold['data'], at, rows };
    const given = breakage.given?.(fold) ?? fold;
    const own = decided(() => recordType.apply(given.rows, given.at, given.data));
    const decision = breakage.decided?.(own, given, world.random) ?? own;
    world.happens(toldBy(type, decision));
    const changes = decision.outcome === 'applied' ? decision.changes : [];
    const before = changes.map((change) => slot.rows.get(nameOfRow(change)));
    for (const change of changes) {
      const { table, row } = change;
      const name = nameOfRow(change);
      slot.rows.set(name, row);
      if (table.name === sagaTable.name) keepTimer(slot, name, row as SagaRow);
    }
    invariants.applied({ stream, record, data: fold.data, decision, changes, before });
    return decision;
  }

  return {
    next,
    skip(slot, stream) {
      const record = slot.logs[stream][slot.positions[stream]];
      if (record === undefined || !isSkippable(record) || slot.owner === world.down) return;
      const digest = digestOf(record.key, record.idempotencyKey);
      if (slot.seen.has(digest)) return;
      slot.seen.set(digest, record.data);
      slot.journal[stream][slot.positions[stream]++] = NOTHING;
      // A timer is fired again as long as it stands.
      if (record.type !== SAGA_TIMEOUT) world.skipped += 1;
      world.happens(`an operator skips ${record.type}`);
    },
  };
}

function isSkippable({ type }: LogRecord): boolean {
  return commandTypes.has(type) || type === SAGA_REPLY || type === SAGA_TIMEOUT;
}

/** A transition of a saga, or what became of any other record. */
function toldBy(type: string, decision: Decision): string {
  if (decision.outcome === 'refused') return `${type} ${decision.code}`;
  const { saga, state, reason } = decision.detail ?? {};
  if (saga === undefined) return type;
  return `${saga.split('/')[0]} ${state}${reason === undefined ? '' : ` ${reason}`}`;
}

/** A fold that asserts parks its key: the saga could not go on. */
function decided(fold: () => Decision): Decision {
  try {
    return fold();
  } catch (error) {
    if (error instanceof AssertionFailed) return violates(`a fold fails: ${error.message}`);
    throw error;
  }
}

function nameOfRow({ table, row }: Change): string {
  return nameOf(table, table.key.map((column) => row[column] as string));
}

function keepTimer(slot: Slot, name: string, row: SagaRow): void {
  if (row.due_ms === null) slot.due.delete(name);
  else slot.due.set(name, row);
}

/** Messages are passed on as they are; those of timers are made anew, with the same fields. */
function isSame(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  const fields = Object.entries(one as object);
  return fields.length === Object.keys(other as object).length && fields.every(([name, value]) => (other as Record<string, unknown>)[name] === value);
}
