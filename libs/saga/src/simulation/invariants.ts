/**
 * What must hold after every record (`applied`), and when everything has ended (`quiet`).
 *
 * The ledger knows pools by what came in and by holds alone; the end is checked against what clients asked for.
 */
import { hold, saga as sagaTable, SAGA_REPLY, SAGA_TIMEOUT, sagaId, type AccountRow, type Change, type Decision, type HoldRow, type Row, type SagaRow, type StockRow } from '@millrace/domain';
import { type RoutingKey, type Stream } from '@millrace/write';
import { sagaOf } from '../row.ts';
import { isOpen, nameOfPart, type Part, type Saga } from '../saga.ts';
import type { FoldData } from './broken.ts';
import { holdAt, rowsOf, violates, type LogRecord, type World } from './world.ts';

export interface Applied {
  readonly stream: Stream;
  readonly record: LogRecord;
  readonly data: FoldData;
  readonly decision: Decision;
  readonly changes: readonly Change[];
  /** Each row as it was. */
  readonly before: readonly (Row | undefined)[];
}

export interface Invariants {
  /** @throws Violation */
  applied(applied: Applied): void;
  /** By pool (`account demo/b`): deposits and receipts, each once. */
  cameIn(): ReadonlyMap<string, bigint>;
}

/** What came in to a pool, and what its holds are, summed up. */
interface Account {
  received: bigint;
  readonly sums: Record<`${HoldRow['state']} ${HoldRow['direction']}`, bigint>;
}

const NEXT: Readonly<Record<Saga['state'], readonly Saga['state'][]>> = {
  reserving: ['reserving', 'confirming', 'undoing', 'rejected', 'cancelled'],
  confirming: ['confirming', 'confirmed'],
  undoing: ['undoing', 'rejected', 'cancelled'],
  confirmed: ['confirmed'],
  rejected: [],
  cancelled: [],
};

export function createInvariants(world: World): Invariants {
  const ledger = new Map<string, Account>();
  const received = new Set<string>();
  const released = new Set<string>();
  const movedBy = new Set<string>();

  function accountOf(pool: string): Account {
    let found = ledger.get(pool);
    if (!found) ledger.set(pool, (found = { received: 0n, sums: { 'held out': 0n, 'held in': 0n, 'confirmed out': 0n, 'confirmed in': 0n, 'released out': 0n, 'released in': 0n } }));
    return found;
  }

  function applied(event: Applied): void {
    if (event.decision.outcome === 'refused') return;
    const { record, changes, before } = event;
    takeIn(record, event.data);
    changes.forEach(({ table, row }, index) => {
      if (table.name === hold.name) holdChanged(row as HoldRow, before[index] as HoldRow | undefined);
    });
    if (record.type.endsWith('.release')) released.add(`${record.type.split('.')[0]} ${record.key} ${event.data.saga}`);
    changes.forEach(({ table, row }, index) => {
      if (table.name === 'account') poolChanged('account', record.key, poolOfAccount(row as AccountRow));
      if (table.name === 'stock') poolChanged('stock', record.key, poolOfStock(row as StockRow));
      if (table.name === sagaTable.name) sagaChanged(event, row as SagaRow, before[index] as SagaRow | undefined);
    });
  }

  /** Of deposits and receipts each counts once, however often it is applied. */
  function takeIn({ type, key, idempotencyKey }: LogRecord, { amount, quantity }: FoldData): void {
    if ((type !== 'account.deposit' && type !== 'stock.receive') || received.has(idempotencyKey)) return;
    received.add(idempotencyKey);
    accountOf(`${type === 'account.deposit' ? 'account' : 'stock'} ${key}`).received += BigInt(amount ?? quantity ?? 0);
  }

  function holdChanged(row: HoldRow, before: HoldRow | undefined): void {
    const name = `${row.kind} ${row.key} ${row.saga}`;
    if (row.state === 'held' && (released.has(name) || before?.state === 'released')) violates(`S2: ${name} is held after its release`);
    if (before && before.state !== 'held' && before.state !== row.state) violates(`S2: what ${name} had ${before.state} is ${row.state}`);
    if (before && (before.units !== row.units || before.direction !== row.direction)) violates(`S4: the terms of ${name} change`);
    const { sums } = accountOf(`${row.kind} ${row.key}`);
    if (before) sums[`${before.state} ${before.direction}`] -= before.units;
    sums[`${row.state} ${row.direction}`] += row.units;
  }

  /** S4, after every record: nothing below zero, and what is there is what came in, less and plus what was confirmed. */
  function poolChanged(kind: string, key: string, { available, kept, incoming }: Pool): void {
    const pool = `${kind} ${key}`;
    const { received: came, sums } = accountOf(pool);
    if (available < 0n || kept < 0n || incoming < 0n) violates(`S4: ${pool} is below zero`);
    if (kept !== sums['held out']) violates(`S4: ${pool} keeps ${kept}, its holds are ${sums['held out']}`);
    if (incoming !== sums['held in']) violates(`S4: ${pool} expects ${incoming}, its holds are ${sums['held in']}`);
    const there = came - sums['confirmed out'] + sums['confirmed in'];
    if (available + kept !== there) violates(`S4: ${pool} has ${available + kept}, conserved it would be ${there}`);
  }

  function sagaChanged({ record, data }: Applied, row: SagaRow, beforeRow: SagaRow | undefined): void {
    const ref = { key: row.key as RoutingKey, saga: row.saga };
    const id = sagaId(ref);
    const [saga, before] = [sagaOf(row), beforeRow && sagaOf(beforeRow)];
    if (before?.state === 'confirmed' && saga.state === 'confirmed') return claimsChanged(saga);
    movesOnce(record, data, id, before);
    if (before && before.state !== 'reserving' && (record.type === SAGA_TIMEOUT || (record.type === SAGA_REPLY && data.phase === 'hold'))) {
      violates(`S3: ${record.type} of ${data.phase ?? 'a deadline'} moves ${id}, which is ${before.state}`);
    }
    if (before && record.type === SAGA_TIMEOUT && record.atMs < (data.due_ms ?? 0)) violates(`S3: saga.timeout moves ${id} before its time`);
    if (before && !NEXT[before.state].includes(saga.state)) violates(`S4: ${id} goes from ${before.state} to ${saga.state}`);
    if (before?.state !== saga.state) keepsItsWord(id, saga);
  }

  /** S1: neither a message, nor the reply of a participant in whatever attempt, moves a saga twice. */
  function movesOnce({ type, key, idempotencyKey }: LogRecord, data: FoldData, id: string, before: Saga | undefined): void {
    const names = [`${key} ${idempotencyKey}`];
    if (type === SAGA_REPLY) names.push(`${id} ${data.kind}/${data.id} ${data.phase}`);
    if (!before) names.push(id);
    for (const name of names) {
      if (movedBy.has(name)) violates(`S1: ${name} moves ${id} again`);
      movedBy.add(name);
    }
  }

  /** What a state says of all participants, wherever they are. */
  function keepsItsWord(id: string, { state, parts }: Saga): void {
    for (const part of parts) {
      const kept = holdAt(world, part, id);
      const name = nameOfPart(part);
      if (state === 'confirming' && (kept?.state !== 'held' || !isAsAsked(kept, part))) violates(`S4: ${id} is confirming, and ${name} does not hold`);
      if (state === 'confirmed' && kept?.state !== 'confirmed') violates(`S4: ${id} is confirmed, and ${name} is not`);
      if ((state === 'undoing' || state === 'rejected' || state === 'cancelled') && kept?.state === 'confirmed') violates(`S4: ${id} is ${state}, and ${name} is confirmed`);
      if ((state === 'rejected' || state === 'cancelled') && kept?.state === 'held') violates(`S5: ${id} is ${state}, and ${name} still holds`);
    }
  }

  /** S4: of no line more is returned than was bought; a claim is never given back twice. */
  function claimsChanged({ returned = [] }: Saga & { state: 'confirmed' }): void {
    if (returned.some((units) => units < 0)) violates('S4: more is given back than was claimed');
  }

  return { applied, cameIn: () => new Map([...ledger].map(([pool, { received: units }]) => [pool, units])) };
}

interface Pool {
  readonly available: bigint;
  readonly kept: bigint;
  readonly incoming: bigint;
}

function poolOfAccount({ balance: available, held: kept, incoming }: AccountRow): Pool {
  return { available, kept, incoming };
}

function poolOfStock({ on_hand: available, reserved: kept, incoming }: StockRow): Pool {
  return { available, kept, incoming };
}

function isAsAsked({ direction, units }: HoldRow, part: Part): boolean {
  return direction === part.direction && units === BigInt(part.kind === 'account' ? part.amount : part.quantity);
}

/** S5, as far as a deadline reaches: what waits for a participant that does not answer is undone. */
export function checkDeadlines(world: World): void {
  for (const row of rowsOf<SagaRow>(world, sagaTable)) {
    const isDown = world.slotOf(row.key).owner === world.down;
    if (row.state === 'reserving' && !isDown) violates(`S5: ${row.key}/${row.saga} still reserves, and its deadline has passed`);
  }
}

/** S5: every saga has ended, and no escrow is left. */
export function checkEnds(world: World): void {
  for (const row of rowsOf<SagaRow>(world, sagaTable)) if (isOpen(sagaOf(row))) violates(`S5: ${row.key}/${row.saga} does not end: it is ${row.state}`);
  for (const { key, kind, saga, state } of rowsOf<HoldRow>(world, hold)) if (state === 'held') violates(`S5: ${kind} ${key} is kept for ${saga} for ever`);
}
