/** Sagas, wherever they are: over all shards in one order, or one by its id. */
import type { SagaRef } from '@millrace/domain';
import { Refused } from '@millrace/admin';
import { slotOf } from '@millrace/ring';
import type { ShardId, Slot } from '@millrace/write';
import { askEach, reach, type AskInput, type Reach } from './ask.ts';
import { findObstacles, type Obstacles } from './obstacles.ts';
import { listSagas, readSaga, type StoredSaga, type SummaryRow, type Wanted } from './read.sql.ts';
import { foundOf, isOpenState, summaryOf, type FoundSaga, type SagaSummary } from './summary.ts';

export interface SagaList {
  readonly sagas: readonly SagaSummary[];
  readonly obstacles: Obstacles;
  /** True where more fit. */
  readonly more: boolean;
  /** Shards whose sagas are not in the list, and why. */
  readonly silent: ReadonlyMap<ShardId, string>;
}

export async function findSagas(input: AskInput, wanted: Wanted): Promise<SagaList> {
  const around = await reach(input);
  const slotsBy = Map.groupBy(around.holders.keys(), (slot) => around.holders.get(slot));
  const holding = [...slotsBy.keys()].filter((shard) => shard !== undefined);
  const { answers, silent } = await askEach(input.shards, holding, (shard, database) => database.query<SummaryRow>(listSagas(slotsBy.get(shard) ?? [], { ...wanted, limit: wanted.limit + 1 })));
  const rows = [...answers].flatMap(([shard, own]) => own.map((row) => summaryOf(row, shard))).sort(byPlace);
  const sagas = rows.slice(0, wanted.limit);
  return { sagas, more: rows.length > wanted.limit, obstacles: await obstaclesOf(input, around, sagas), silent: new Map([...around.silent, ...silent]) };
}

export interface SagaView extends FoundSaga {
  readonly obstacles: Obstacles;
}

/** @throws Refused where there is none, or its shard does not answer. */
export async function viewSaga(input: AskInput, ref: SagaRef): Promise<SagaView> {
  const around = await reach(input);
  const found = await findAt(input, around, ref);
  return { ...found, obstacles: await obstaclesOf(input, around, [found]) };
}

/** @throws Refused */
export async function findSaga(input: AskInput, ref: SagaRef): Promise<FoundSaga> {
  return findAt(input, await reach(input), ref);
}

async function findAt(input: AskInput, { holders, silent }: Reach, { key, saga: name }: SagaRef): Promise<FoundSaga> {
  const { slots, owners } = input.topology.current();
  const slot = slotOf(key, slots);
  const shard = holders.get(slot);
  if (shard === undefined) throw unreachable(slot, owners[slot], silent);
  const asked = await askEach(input.shards, [shard], (_, database) => database.query<StoredSaga>(readSaga({ slot, key, saga: name })));
  const rows = asked.answers.get(shard);
  if (rows === undefined) throw unreachable(slot, shard, asked.silent);
  const [row] = rows;
  if (row === undefined) throw new Refused('unknown_saga', `there is no saga ${key}/${name}`);
  return foundOf(row, shard);
}

function unreachable(slot: Slot, shard: ShardId | undefined, silent: ReadonlyMap<ShardId, string>): Refused {
  const why = (shard && silent.get(shard)) ?? 'no shard applies it now';
  return new Refused('shard_unavailable', `slot ${slot}, shard ${shard}: ${why}`);
}

function obstaclesOf(input: AskInput, around: Reach, sagas: readonly SagaSummary[]): Promise<Obstacles> {
  const open = sagas.filter(({ row }) => isOpenState(row.state));
  return findObstacles(input, around, open.map(({ row, waitsFor }) => ({ key: row.key, waitsFor })));
}

/** The order of the shards' answers: bytes, as collation C compares. */
function byPlace({ row: a }: SagaSummary, { row: b }: SagaSummary): number {
  if (a.started_ms !== b.started_ms) return a.started_ms < b.started_ms ? -1 : 1;
  if (a.key !== b.key) return a.key < b.key ? -1 : 1;
  return a.saga < b.saga ? -1 : 1;
}
