/**
 * The ledger checker against servers.
 *
 * It goes over the log in passes of some slots each. A pass opens a snapshot of every shard first and reads the log
 * after: so each slot's position, rows and log belong to one instant, whatever the writers do meanwhile, and exactly
 * the records below the position must have left their mark. Within the pass the slots are folded as the log arrives,
 * compared one by one, and let go.
 */
import { readTopic, topicOffsets, type KafkaClient, type SlotOffsets, type SlotRecord } from '@millrace/kafka';
import type { Database, Tx } from '@millrace/postgres';
import { sleep, type Log } from '@millrace/runtime';
import { topicNames } from '@millrace/wire';
import { assert, must, type Receipt, type ShardId, type Slot } from '@millrace/write';
import { groupAcked, type AckedBySlot } from './acked.ts';
import { compareSlot, reportForeign, reportForeignState } from './compare.ts';
import { SlotFold, witnessOf } from './fold.ts';
import { POSITION_POLL_MS, RECORDS_PER_PASS_MAX } from './limits.ts';
import { planPasses } from './passes.ts';
import { openSnapshot, readForeign, readHeads, readIdentity, readParking, readSlot, type SlotHead } from './read-shard.ts';
import { createReport, type Report, type Verdict } from './verdict.ts';

export interface VerifyOptions {
  readonly kafka: KafkaClient;
  readonly topicPrefix: string;
  /** S. */
  readonly slots: number;
  /** The owner of slot `i` stands at index `i`. */
  readonly owners: readonly ShardId[];
  readonly shards: (id: ShardId) => Database;
  /** Every shard there is, so that rows on one that owns nothing are found too. */
  readonly allShardIds: readonly ShardId[];
  /** Receipts that clients hold: each must name a record of the log. */
  readonly acked?: Iterable<Receipt> | undefined;
  /** How long to wait for the shards to reach the end that the log has now; 0 by default. */
  readonly waitMs?: number;
  /** Records that one pass may fold; tests lower it. */
  readonly recordsPerPassMax?: number;
  readonly log?: Log;
  readonly onProgress?: (progress: VerifyProgress) => void;
  readonly signal: AbortSignal;
}

export interface VerifyProgress {
  readonly records: number;
  readonly recordsTotal: number;
}

/**
 * Compares the log with every shard. Resolves with a verdict, clean or not; rejects where Kafka or a shard does not
 * answer, or the signal is aborted.
 */
export async function verifyLedger(options: VerifyOptions): Promise<Verdict> {
  const { kafka, topicPrefix, slots, owners, signal } = options;
  assert(owners.length === slots, 'R1: every slot has exactly one owner');
  const report = createReport({ withAcked: options.acked !== undefined });
  const acked = groupAcked(options.acked ?? [], { owners, report });
  const topic = topicNames(topicPrefix).writes;
  const ends = await topicOffsets({ kafka, topic });
  assert(ends.length === slots, `topic ${topic} has ${ends.length} partitions, not ${slots}`);
  await waitForPositions(options, ends);
  const ledger: Ledger = { ...options, topic, report, acked, shardIds: [...new Set([...owners, ...options.allShardIds])], progress: progressOf(options, ends) };
  await withSnapshots(ledger, (snapshots) => checkForeign(ledger, snapshots));
  for (const pass of planPasses(ends, options.recordsPerPassMax ?? RECORDS_PER_PASS_MAX)) {
    signal.throwIfAborted();
    await withSnapshots(ledger, (snapshots) => checkPass(ledger, snapshots, pass));
  }
  return report.verdict();
}

interface Ledger extends Omit<VerifyOptions, 'acked'> {
  readonly topic: string;
  readonly report: Report;
  readonly acked: AckedBySlot;
  readonly shardIds: readonly ShardId[];
  readonly progress: (records: number) => void;
}

/** An open transaction on each shard. */
type Snapshots = ReadonlyMap<ShardId, Tx>;

/** Runs `work` with one snapshot of every shard open, all of them until it ends. */
async function withSnapshots(ledger: Ledger, work: (snapshots: Snapshots) => Promise<void>): Promise<void> {
  const open = async (rest: readonly ShardId[], opened: Snapshots): Promise<void> => {
    const [shard, ...others] = rest;
    if (shard === undefined) return work(opened);
    await ledger.shards(shard).transaction(async (tx) => {
      await openSnapshot(tx);
      await open(others, new Map(opened).set(shard, tx));
    });
  };
  await open(ledger.shardIds, new Map());
}

async function checkForeign({ owners, slots, report }: Ledger, snapshots: Snapshots): Promise<void> {
  await forEachShard(snapshots, async (shard, tx) => {
    const identity = await readIdentity(tx);
    if (identity?.shard !== shard || identity.slots !== slots) {
      const actual = identity === undefined ? 'no identity' : `shard ${identity.shard} of ${identity.slots} slots`;
      report.differs({ kind: 'wrong_slot', shard, expected: `shard ${shard} of ${slots} slots`, actual });
    }
    const owned = owners.flatMap((owner, slot) => (owner === shard ? [slot] : []));
    for (const { slot, slotState } of await readHeads(tx)) {
      if (slotState !== null && owners[slot] !== shard) reportForeignState(report, shard, slot, slotState);
    }
    for (const foreign of await readForeign(tx, owned)) reportForeign(report, shard, owners[foreign.slot], foreign);
  });
}

/** One slot of a pass. */
interface OpenSlot {
  readonly shard: ShardId;
  readonly head: SlotHead | undefined;
  readonly fold: SlotFold;
}

async function checkPass(ledger: Ledger, snapshots: Snapshots, ends: readonly SlotOffsets[]): Promise<void> {
  const open = await openSlots(ledger, snapshots, ends);
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

async function openSlots({ owners, slots, acked }: Ledger, snapshots: Snapshots, ends: readonly SlotOffsets[]): Promise<Map<number, OpenSlot>> {
  const open = new Map<number, OpenSlot>();
  await forEachShard(snapshots, async (shard, tx) => {
    const own = ends.filter(({ slot }) => owners[slot] === shard);
    const heads = new Map((await readHeads(tx)).map((head) => [head.slot, head]));
    const parking = await readParking(tx, own.map(({ slot }) => slot));
    for (const end of own) {
      const head = heads.get(end.slot);
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

/** Polls until every owner has reached the end that its slots had at the call, or the time is over. */
async function waitForPositions({ waitMs = 0, owners, shards, log, signal }: VerifyOptions, ends: readonly SlotOffsets[]): Promise<void> {
  const deadlineMs = performance.now() + waitMs;
  let behind = [...new Set(owners)];
  while (waitMs > 0 && behind.length > 0) {
    const still = await Promise.all(behind.map(async (shard) => (await hasReached(shards(shard), ends.filter(({ slot }) => owners[slot] === shard), signal)) ? [] : [shard]));
    behind = still.flat();
    if (behind.length === 0) return;
    if (performance.now() >= deadlineMs) {
      log?.warn({ shards: behind, waitMs }, 'shards have not reached the end of the log');
      return;
    }
    await sleep(POSITION_POLL_MS, signal);
  }
}

async function hasReached(database: Database, ends: readonly SlotOffsets[], signal: AbortSignal): Promise<boolean> {
  signal.throwIfAborted();
  const positions = await database.query<{ readonly slot: number; readonly next: bigint }>({
    text: `select slot, next_offset as next from position where stream = 'writes'`,
  });
  const bySlot = new Map(positions.map(({ slot, next }) => [slot, next]));
  return ends.every(({ slot, high }) => (bySlot.get(slot) ?? 0n) >= high);
}

function progressOf({ onProgress }: VerifyOptions, ends: readonly SlotOffsets[]): (records: number) => void {
  const recordsTotal = Number(ends.reduce((sum, { low, high }) => sum + high - low, 0n));
  let read = 0;
  return (records) => {
    read += records;
    onProgress?.({ records: Math.min(read, recordsTotal), recordsTotal });
  };
}

/** The shards at once: each transaction is one connection, so what a shard is asked stays one after the other. */
async function forEachShard(snapshots: Snapshots, work: (shard: ShardId, tx: Tx) => Promise<void>): Promise<void> {
  await Promise.all([...snapshots].map(([shard, tx]) => work(shard, tx)));
}
