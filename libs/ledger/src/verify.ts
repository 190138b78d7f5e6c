/**
 * The ledger checker against servers.
 *
 * It goes over the log in passes of some slots each. A pass opens a snapshot of every shard first and reads the log
 * after: so each slot's position, rows and log belong to one instant, whatever the writers do meanwhile, and exactly
 * the records below the position must have left their mark. Within the pass the slots are folded as the log arrives,
 * compared one by one, and let go.
 *
 * Slots may move meanwhile. The slot row in a snapshot tells whether the shard holds the slot in it; where the snapshots
 * of two shards lie on two sides of a fence, so that none or both seem to hold a slot, the slot is looked at again.
 */
import { readTopic, topicOffsets, type KafkaClient, type SlotOffsets, type SlotRecord } from '@millrace/kafka';
import type { Database } from '@millrace/postgres';
import { sleep, type Log } from '@millrace/runtime';
import { topicNames } from '@millrace/wire';
import { assert, must, type Receipt, type ShardId, type Slot } from '@millrace/write';
import { groupAcked, type AckedBySlot } from './acked.ts';
import { compareSlot } from './compare.ts';
import { SlotFold, witnessOf } from './fold.ts';
import { FENCE_PATIENCE_MS, POSITION_POLL_MS, RECORDS_PER_PASS_MAX } from './limits.ts';
import { createMoves, type Moves } from './moves.ts';
import { planPasses } from './passes.ts';
import { holderOf, judgeForeign, judgeHolder, judgeNotes, judgeUnheld, type Side } from './places.ts';
import { waitForPositions } from './reach.ts';
import { readForeign, readHeads, readIdentity, readNotes, readParking, readSlot, type SlotHead } from './read-shard.ts';
import { forEachShard, withSnapshots, type Snapshots } from './snapshots.ts';
import { createReport, type Report, type Verdict } from './verdict.ts';

export interface VerifyOptions {
  readonly kafka: KafkaClient;
  readonly topicPrefix: string;
  /** S. */
  readonly slots: number;
  /** The owner of slot `i` stands at index `i`; with a control database, a topology that may be old. */
  readonly owners: readonly ShardId[];
  /** Tells which slots move, and the newest topology. Without it every move is taken for ended. */
  readonly control?: Database | undefined;
  readonly shards: (id: ShardId) => Database;
  /** Every shard there is, so that rows on one that owns nothing are found too. */
  readonly allShardIds: readonly ShardId[];
  /** Receipts that clients hold: each must name a record of the log. */
  readonly acked?: Iterable<Receipt> | undefined;
  /** How long to wait for the shards to reach the end that the log has now; 0 by default. */
  readonly waitMs?: number;
  /** Records that one pass may fold; tests lower it. */
  readonly recordsPerPassMax?: number;
  /** How long a slot that no shard holds is looked at again; tests lower it. */
  readonly fencePatienceMs?: number;
  readonly log?: Log;
  readonly onProgress?: (progress: VerifyProgress) => void;
  readonly signal: AbortSignal;
}

export interface VerifyProgress {
  readonly records: number;
  readonly recordsTotal: number;
}

/**
 * Compares the log with every shard. Resolves with a verdict, clean or not; rejects where Kafka, a shard or
 * the control database does not answer, or the signal is aborted.
 */
export async function verifyLedger(options: VerifyOptions): Promise<Verdict> {
  const { kafka, topicPrefix, slots, owners } = options;
  assert(owners.length === slots, 'R1: every slot has exactly one owner');
  const report = createReport({ withAcked: options.acked !== undefined });
  const acked = groupAcked(options.acked ?? [], { owners, report });
  const topic = topicNames(topicPrefix).writes;
  const ends = await topicOffsets({ kafka, topic });
  assert(ends.length === slots, `topic ${topic} has ${ends.length} partitions, not ${slots}`);
  const moves = createMoves(options);
  const shardIds = (): readonly ShardId[] => [...new Set([...moves.shards(), ...options.allShardIds])];
  await waitForPositions({ ...options, ends, shardIds, waitMs: options.waitMs ?? 0 });
  const ledger: Ledger = { ...options, topic, report, acked, moves, shardIds, progress: progressOf(options, ends) };
  await moves.look();
  await checkForeign(ledger);
  await checkSlots(ledger, ends);
  report.agrees('moving', moves.slots());
  return report.verdict();
}

interface Ledger extends Omit<VerifyOptions, 'acked'> {
  readonly topic: string;
  readonly report: Report;
  readonly acked: AckedBySlot;
  readonly moves: Moves;
  readonly shardIds: () => readonly ShardId[];
  readonly progress: (records: number) => void;
}

/** Whether the shards are what they should be, and have rows only of slots that they hold. */
async function checkForeign({ slots, report, moves, shardIds, shards }: Ledger): Promise<void> {
  const found = await withSnapshots(shardIds(), shards, (snapshots) =>
    forEachShard(snapshots, async (shard, tx) => {
      const identity = await readIdentity(tx);
      return { shard, identity, heads: await readHeads(tx), foreign: await readForeign(tx), notes: await readNotes(tx) };
    }),
  );
  await moves.look();
  for (const { shard, identity, heads, foreign, notes } of found) {
    if (identity?.shard !== shard || identity.slots !== slots) {
      const actual = identity === undefined ? 'no identity' : `shard ${identity.shard} of ${identity.slots} slots`;
      report.differs({ kind: 'wrong_slot', shard, expected: `shard ${shard} of ${slots} slots`, actual });
    }
    for (const { slot, slotState } of heads) judgeUnheld(slot, { shard, slotState }, moves, report);
    for (const rows of foreign) judgeForeign(shard, rows, moves, report);
    for (const rows of notes) judgeNotes(shard, rows, moves, report);
  }
}

/** A slot of which the snapshots show not exactly one holder. */
interface Unsure {
  readonly end: SlotOffsets;
  readonly sides: readonly Side[];
}

/** Compares every slot where it is held, pass by pass; those in between again, until they are held or time is over. */
async function checkSlots(ledger: Ledger, ends: readonly SlotOffsets[]): Promise<void> {
  const { moves, recordsPerPassMax = RECORDS_PER_PASS_MAX, fencePatienceMs = FENCE_PATIENCE_MS, signal } = ledger;
  let deadlineMs = Infinity;
  let last = new Map<number, Unsure>();
  for (let left = ends; left.length > 0; ) {
    const isOver = performance.now() >= deadlineMs;
    // What stands still though no move of it is open is no move.
    const isFinal = (slot: number, sides: readonly Side[]): boolean => isOver || (!moves.isMoving(slot) && isSame(last.get(slot)?.sides, sides));
    const unsure: Unsure[] = [];
    for (const pass of planPasses(left, recordsPerPassMax)) {
      signal.throwIfAborted();
      unsure.push(...(await checkPass(ledger, pass, isFinal)));
    }
    left = unsure.map(({ end }) => end);
    last = new Map(unsure.map((one) => [one.end.slot, one]));
    if (deadlineMs === Infinity) deadlineMs = performance.now() + fencePatienceMs;
    if (left.length > 0) await sleep(POSITION_POLL_MS, signal);
  }
}

function isSame(a: readonly Side[] | undefined, b: readonly Side[]): boolean {
  const text = (sides: readonly Side[]): string => sides.map(({ shard, slotState }) => `${shard} ${slotState?.state} ${slotState?.epoch} ${slotState?.movedTo}`).join();
  return a !== undefined && text(a) === text(b);
}

/** One slot of a pass. */
interface OpenSlot {
  readonly shard: ShardId;
  readonly head: SlotHead | undefined;
  readonly fold: SlotFold;
}

type Heads = ReadonlyMap<ShardId, ReadonlyMap<number, SlotHead>>;

/** Compares the slots that have one holder, and the others where `isFinal`; returns those that are left. */
async function checkPass(ledger: Ledger, ends: readonly SlotOffsets[], isFinal: (slot: number, sides: readonly Side[]) => boolean): Promise<readonly Unsure[]> {
  const { moves, report, shardIds, shards } = ledger;
  const placed: Unsure[] = [];
  const unsure: Unsure[] = [];
  await moves.look();
  await withSnapshots(shardIds(), shards, async (snapshots) => {
    const heads = await headsOf(snapshots);
    for (const end of ends) {
      const sides = [...heads].map(([shard, ofShard]): Side => ({ shard, slotState: ofShard.get(end.slot)?.slotState ?? null }));
      const isPlaced = holderOf(sides) !== undefined || isFinal(end.slot, sides);
      (isPlaced ? placed : unsure).push({ end, sides });
    }
    if (placed.length > 0) await compareSlots(ledger, snapshots, heads, placed);
  });
  await moves.look();
  for (const { end, sides } of placed) judgeHolder(end.slot, sides, moves, report);
  return unsure;
}

async function headsOf(snapshots: Snapshots): Promise<Heads> {
  return new Map(await forEachShard(snapshots, async (shard, tx) => [shard, new Map((await readHeads(tx)).map((head) => [head.slot, head]))] as const));
}

async function compareSlots(ledger: Ledger, snapshots: Snapshots, heads: Heads, placed: readonly Unsure[]): Promise<void> {
  const open = await openSlots(ledger, snapshots, heads, placed);
  const { kafka, topic, signal } = ledger;
  await readTopic({ kafka, topic, signal, onRecords: (slot, records) => foldRecords(ledger, open.get(slot)?.fold, slot, records) });
  await forEachShard(snapshots, async (shard, tx) => {
    for (const [slot, opened] of open) {
      if (opened.shard !== shard) continue;
      signal.throwIfAborted();
      compareSlot({ shard, fold: opened.fold, rows: await readSlot(tx, slot, opened.head), report: ledger.report });
      open.delete(slot);
    }
  });
}

async function openSlots({ slots, acked, moves }: Ledger, snapshots: Snapshots, heads: Heads, placed: readonly Unsure[]): Promise<Map<number, OpenSlot>> {
  const open = new Map<number, OpenSlot>();
  await forEachShard(snapshots, async (shard, tx) => {
    // Without a holder the shard that the topology names has the best claim.
    const own = placed.filter(({ end, sides }) => (holderOf(sides)?.shard ?? moves.owner(end.slot)) === shard);
    const parking = await readParking(tx, own.map(({ end }) => end.slot));
    for (const { end } of own) {
      const head = heads.get(shard)?.get(end.slot);
      const witness = witnessOf(must(parking.get(end.slot), 'asked for every slot'));
      const position = head?.position?.nextOffset ?? 0n;
      open.set(end.slot, { shard, head, fold: new SlotFold({ slots, ends: end, position, witness, acked: acked.get(end.slot) }) });
    }
  });
  return open;
}

function foldRecords({ progress }: Ledger, fold: SlotFold | undefined, slot: Slot, records: readonly SlotRecord[]): void {
  if (fold === undefined) return;
  const before = fold.records;
  for (const { offset, key, value, timestampMs } of records) fold.take({ slot, offset, key, value, timestampMs });
  progress(fold.records - before);
}

function progressOf({ onProgress }: VerifyOptions, ends: readonly SlotOffsets[]): (records: number) => void {
  const recordsTotal = Number(ends.reduce((sum, { low, high }) => sum + high - low, 0n));
  let read = 0;
  return (records) => {
    read += records;
    onProgress?.({ records: Math.min(read, recordsTotal), recordsTotal });
  };
}
