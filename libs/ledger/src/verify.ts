/**
 * The ledger checker against servers.
 *
 * It goes over the logs in passes of some slots each. A pass opens a snapshot of every shard first and reads the logs
 * after: so each slot's positions, rows and logs belong to one instant, whatever the streams do meanwhile, and exactly
 * the records below the positions must have left their mark. Within the pass the slots are folded as the logs arrive,
 * compared one by one, and let go. What is seen only across slots is judged at the end, by a cut that was taken before
 * the first snapshot (`mail.ts`, `ends.ts`).
 *
 * Slots may move meanwhile. The slot row in a snapshot tells whether the shard holds the slot in it; where the snapshots
 * of two shards lie on two sides of a fence, so that none or both seem to hold a slot, the slot is looked at again.
 */
import { readTopic, topicOffsets, type KafkaClient, type SlotRecord } from '@millrace/kafka';
import type { Database } from '@millrace/postgres';
import { sleep, type Log } from '@millrace/runtime';
import { topicNames } from '@millrace/wire';
import { assert, must, type Receipt, type ShardId, type Slot, type Stream } from '@millrace/write';
import { groupAcked, type AckedBySlot } from './acked.ts';
import { createAcross, type Across } from './across.ts';
import { compareSlot } from './compare.ts';
import { FENCE_PATIENCE_MS, POSITION_POLL_MS, RECORDS_PER_PASS_MAX } from './limits.ts';
import type { Cut } from './mail.ts';
import { createMoves, type Moves } from './moves.ts';
import { planPasses } from './passes.ts';
import { holderOf, judgeForeign, judgeHolder, judgeNotes, judgeUnheld, type Side } from './places.ts';
import { heldPositions, waitForPositions, type Ends } from './reach.ts';
import { readForeign, readHeads, readIdentity, readNotes, readParking, readSlot, type SlotHead } from './read-shard.ts';
import { openSlot, witnessesOf, type SlotLedger } from './slot-ledger.ts';
import type { LogEnds } from './snapshot.ts';
import { forEachShard, withSnapshots, type Snapshots } from './snapshots.ts';
import { createReport, type Difference, type Report, type Verdict } from './verdict.ts';

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
  /**
   * Makes what has not ended a difference, waits for the ends of all, and wants the sums judged. Without it open sagas
   * are counted.
   */
  readonly requireEnded?: boolean | undefined;
  /** How long to wait for the shards to reach the ends that the logs have now; 0 by default. */
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
 * Compares the logs with every shard. Resolves with a verdict, clean or not; rejects where Kafka, a shard or
 * the control database does not answer, or the signal is aborted.
 *
 * Where all must have ended and something moved all the same, it looks again, for as long as it may wait.
 */
export async function verifyLedger(options: VerifyOptions): Promise<Verdict> {
  const { slots, owners, requireEnded = false, waitMs = 0, signal } = options;
  assert(owners.length === slots, 'R1: every slot has exactly one owner');
  const impossible: Difference[] = [];
  const acked = groupAcked(options.acked ?? [], { owners, report: { differs: (difference) => impossible.push(difference) } });
  const deadlineMs = performance.now() + waitMs;
  for (;;) {
    const report = createReport({ withAcked: options.acked !== undefined });
    for (const difference of impossible) report.differs(difference);
    const { hasMoved } = await look({ ...options, acked, report, waitMs: Math.max(0, deadlineMs - performance.now()) });
    if (!requireEnded || !hasMoved || performance.now() >= deadlineMs) return report.verdict();
    await sleep(POSITION_POLL_MS, signal);
  }
}

type Look = Omit<VerifyOptions, 'acked'> & { readonly acked: AckedBySlot; readonly report: Report };

async function look(options: Look): Promise<{ readonly hasMoved: boolean }> {
  const { requireEnded = false, report, shards, signal } = options;
  const first = await askEnds(options);
  const moves = createMoves(options);
  const shardIds = (): readonly ShardId[] => [...new Set([...moves.shards(), ...options.allShardIds])];
  await waitForPositions({ ...options, ends: first, askEnds: () => askEnds(options), shardIds, untilEnded: requireEnded, waitMs: options.waitMs ?? 0 });
  // First how far each slot is, then where the logs end: see `mail.ts`.
  const held = await heldPositions(shardIds(), shards, signal);
  const last = await askEnds(options);
  const cut: Cut = {
    position: (stream, slot) => held[stream].get(slot)?.nextOffset ?? 0n,
    relayed: (stream, slot) => held[stream].get(slot)?.relayedOffset ?? 0n,
    end: (stream, slot) => must(last[stream][slot], 'a topic has S partitions').high,
  };
  const across = createAcross({ cut, report, owner: (slot) => moves.owner(slot), requireEnded });
  const ends = requireEnded ? last : first;
  const ledger: Ledger = { ...options, moves, across, ends, shardIds, progress: progressOf(options, ends) };
  await moves.look();
  await checkForeign(ledger);
  await checkSlots(ledger);
  report.agrees('moving', moves.slots());
  return across.judge();
}

const STREAMS: readonly Stream[] = ['writes', 'sagas'];

async function askEnds({ kafka, topicPrefix, slots, signal }: Look): Promise<Ends> {
  const endsOf = async (stream: Stream): Promise<readonly LogEnds[]> => {
    const topic = topicNames(topicPrefix)[stream];
    const ends = await topicOffsets({ kafka, topic, signal });
    assert(ends.length === slots, `topic ${topic} has ${ends.length} partitions, not ${slots}`);
    return ends;
  };
  return { writes: await endsOf('writes'), sagas: await endsOf('sagas') };
}

interface Ledger extends Look {
  readonly moves: Moves;
  readonly across: Across;
  readonly ends: Ends;
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
  readonly slot: number;
  readonly sides: readonly Side[];
}

/** Compares every slot where it is held, pass by pass; those in between again, until they are held or time is over. */
async function checkSlots(ledger: Ledger): Promise<void> {
  const { ends, moves, recordsPerPassMax = RECORDS_PER_PASS_MAX, fencePatienceMs = FENCE_PATIENCE_MS, signal } = ledger;
  let deadlineMs = Infinity;
  let last = new Map<number, Unsure>();
  const sizes = ends.writes.map(({ slot, low, high }, index) => ({ slot, records: high - low + sizeOf(ends.sagas[index]) }));
  for (let left = sizes; left.length > 0; ) {
    const isOver = performance.now() >= deadlineMs;
    // What stands still though no move of it is open is no move.
    const isFinal = (slot: number, sides: readonly Side[]): boolean => isOver || (!moves.isMoving(slot) && isSame(last.get(slot)?.sides, sides));
    const unsure: Unsure[] = [];
    for (const pass of planPasses(left, recordsPerPassMax)) {
      signal.throwIfAborted();
      unsure.push(...(await checkPass(ledger, pass, isFinal)));
    }
    last = new Map(unsure.map((one) => [one.slot, one]));
    left = left.filter(({ slot }) => last.has(slot));
    if (deadlineMs === Infinity) deadlineMs = performance.now() + fencePatienceMs;
    if (left.length > 0) await sleep(POSITION_POLL_MS, signal);
  }
}

function sizeOf(end: LogEnds | undefined): bigint {
  return end === undefined ? 0n : end.high - end.low;
}

function isSame(a: readonly Side[] | undefined, b: readonly Side[]): boolean {
  const text = (sides: readonly Side[]): string => sides.map(({ shard, slotState }) => `${shard} ${slotState?.state} ${slotState?.epoch} ${slotState?.movedTo}`).join();
  return a !== undefined && text(a) === text(b);
}

/** One slot of a pass. */
interface OpenSlot {
  readonly shard: ShardId;
  readonly head: SlotHead | undefined;
  readonly ledger: SlotLedger;
}

type Heads = ReadonlyMap<ShardId, ReadonlyMap<number, SlotHead>>;

/** Compares the slots that have one holder, and the others where `isFinal`; returns those that are left. */
async function checkPass(ledger: Ledger, slots: readonly number[], isFinal: (slot: number, sides: readonly Side[]) => boolean): Promise<readonly Unsure[]> {
  const { moves, report, shardIds, shards } = ledger;
  const placed: Unsure[] = [];
  const unsure: Unsure[] = [];
  await moves.look();
  await withSnapshots(shardIds(), shards, async (snapshots) => {
    const heads = await headsOf(snapshots);
    for (const slot of slots) {
      const sides = [...heads].map(([shard, ofShard]): Side => ({ shard, slotState: ofShard.get(slot)?.slotState ?? null }));
      const isPlaced = holderOf(sides) !== undefined || isFinal(slot, sides);
      (isPlaced ? placed : unsure).push({ slot, sides });
    }
    if (placed.length > 0) await compareSlots(ledger, snapshots, heads, placed);
  });
  await moves.look();
  for (const { slot, sides } of placed) judgeHolder(slot, sides, moves, report);
  return unsure;
}

async function headsOf(snapshots: Snapshots): Promise<Heads> {
  return new Map(await forEachShard(snapshots, async (shard, tx) => [shard, new Map((await readHeads(tx)).map((head) => [head.slot, head]))] as const));
}

async function compareSlots(ledger: Ledger, snapshots: Snapshots, heads: Heads, placed: readonly Unsure[]): Promise<void> {
  const open = await openSlots(ledger, snapshots, heads, placed);
  const { kafka, topicPrefix, signal, report, across } = ledger;
  for (const stream of STREAMS) {
    const topic = topicNames(topicPrefix)[stream];
    await readTopic({ kafka, topic, signal, onRecords: (slot, records) => takeRecords(ledger, open.get(slot)?.ledger, { stream, slot, records }) });
  }
  await forEachShard(snapshots, async (shard, tx) => {
    for (const [slot, opened] of open) {
      if (opened.shard !== shard) continue;
      signal.throwIfAborted();
      const rows = await readSlot(tx, slot, opened.head);
      compareSlot({ shard, ledger: opened.ledger, rows, report });
      across.add(opened.ledger, rows);
      open.delete(slot);
    }
  });
}

async function openSlots({ slots, acked, moves, across, ends }: Ledger, snapshots: Snapshots, heads: Heads, placed: readonly Unsure[]): Promise<Map<number, OpenSlot>> {
  const open = new Map<number, OpenSlot>();
  await forEachShard(snapshots, async (shard, tx) => {
    // Without a holder the shard that the topology names has the best claim.
    const own = placed.filter(({ slot, sides }) => (holderOf(sides)?.shard ?? moves.owner(slot)) === shard).map(({ slot }) => slot);
    const parking = await readParking(tx, own);
    for (const slot of own) {
      const head = heads.get(shard)?.get(slot);
      const endOf = (stream: Stream): LogEnds => must(ends[stream][slot], 'a topic has S partitions');
      const positionOf = (stream: Stream): bigint => head?.positions[stream]?.nextOffset ?? 0n;
      const opened = openSlot({
        slots,
        ends: { writes: endOf('writes'), sagas: endOf('sagas') },
        positions: { writes: positionOf('writes'), sagas: positionOf('sagas') },
        witness: witnessesOf(must(parking.get(slot), 'asked for every slot')),
        acked: acked.get(slot),
        mail: across.mail,
      });
      open.set(slot, { shard, head, ledger: opened });
    }
  });
  return open;
}

interface Batch {
  readonly stream: Stream;
  readonly slot: Slot;
  readonly records: readonly SlotRecord[];
}

function takeRecords({ progress }: Ledger, ledger: SlotLedger | undefined, { stream, slot, records }: Batch): void {
  if (ledger === undefined) return;
  const before = ledger.folds[stream].records;
  for (const { offset, key, value, timestampMs } of records) ledger.take(stream, { slot, offset, key, value, timestampMs });
  progress(ledger.folds[stream].records - before);
}

function progressOf({ onProgress }: Look, ends: Ends): (records: number) => void {
  const recordsTotal = Number([...ends.writes, ...ends.sagas].reduce((sum, end) => sum + sizeOf(end), 0n));
  let read = 0;
  return (records) => {
    read += records;
    onProgress?.({ records: Math.min(read, recordsTotal), recordsTotal });
  };
}
