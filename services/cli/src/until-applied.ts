/** The wait between the last acknowledgement and the verdict: until everything is applied, and every saga has ended. */
import { sleep } from '@millrace/runtime';

import { count, type Output } from './output.ts';
import { isNoneOpen, totalsOf, type OpenSagas, type ShardStanding, type Standing } from './standing.ts';

const LOOK_EVERY_MS = 200;
/** Without one more applied record, one more saga that ended, one more key let go, or one more shard that answers, for this long, the wait ends. */
const STUCK_MS = 120_000;

/** A shard that did not come back: there is nothing to compare the log with. */
export class ShardSilent extends Error {
  override readonly name = 'ShardSilent';
  readonly code = 'shard_silent';
  readonly retryable = true;

  constructor({ shard, problem }: ShardStanding) {
    super(`Shard ${shard} has not answered for ${STUCK_MS / 1000} s (${problem}): start it again, then run millrace verify.`);
  }
}

export interface Wait {
  readonly look: () => Promise<Standing>;
  readonly output: Pick<Output, 'live'>;
  readonly signal: AbortSignal;
  readonly nowMs?: () => number;
}

/**
 * Until every shard answers, every slot is held, none lags in either stream, all messages between the streams are sent
 * on, no saga is open, and no record of one is parked. What no longer gets better ends the wait too: the verdict then tells what is missing.
 * Gives what was open in the end. @throws ShardSilent, or what the look throws
 */
export async function untilApplied({ look, output, signal, nowMs = () => performance.now() }: Wait): Promise<OpenSagas> {
  let best: Left | undefined;
  let bestAtMs = nowMs();
  for (;;) {
    const left = leftOf(await look());
    const [silent] = left.silent;
    if (silent === undefined && left.unheld === 0 && isNothing(left)) return left.open;
    output.live(describe(left));
    if (best === undefined || isLess(left, best)) [best, bestAtMs] = [lowest(left, best), nowMs()];
    if (nowMs() - bestAtMs > STUCK_MS) {
      if (silent !== undefined) throw new ShardSilent(silent);
      return left.open;
    }
    await sleep(LOOK_EVERY_MS, signal);
  }
}

interface Left {
  /** Their lag is unknown. */
  readonly silent: readonly ShardStanding[];
  /** Slots whose lag is unknown too. */
  readonly unheld: number;
  /** Of both streams. */
  readonly lagRecords: bigint;
  readonly lagSeconds: number;
  readonly unrelayed: bigint;
  readonly open: OpenSagas;
}

function leftOf({ shards, slots, sagas, open, unheld }: Standing): Left {
  const { lagRecords, lagSeconds, unrelayed } = totalsOf([...slots, ...sagas]);
  return { silent: shards.filter((shard) => shard.problem !== undefined), unheld, lagRecords, lagSeconds, unrelayed, open };
}

function isNothing({ lagRecords, unrelayed, open }: Left): boolean {
  return lagRecords === 0n && unrelayed === 0n && isNoneOpen(open);
}

/** The lags of different numbers of shards, or slots, do not compare. A saga that ends may well make the lag longer. */
function isLess(left: Left, best: Left): boolean {
  if (!isComparable(left, best)) return left.silent.length !== best.silent.length ? left.silent.length < best.silent.length : left.unheld < best.unheld;
  return left.lagRecords < best.lagRecords || left.unrelayed < best.unrelayed || left.open.sagas < best.open.sagas || left.open.parkedKeys < best.open.parkedKeys;
}

function isComparable(left: Left, best: Left): boolean {
  return left.silent.length === best.silent.length && left.unheld === best.unheld;
}

/** Each figure as low as it was: one that only goes up and down is no progress. */
function lowest(left: Left, best: Left | undefined): Left {
  if (best === undefined || !isComparable(left, best)) return left;
  const lower = (of: (one: Left) => bigint): bigint => (of(left) < of(best) ? of(left) : of(best));
  return {
    ...left,
    lagRecords: lower((one) => one.lagRecords),
    unrelayed: lower((one) => one.unrelayed),
    open: { ...left.open, sagas: Math.min(left.open.sagas, best.open.sagas), parkedKeys: Math.min(left.open.parkedKeys, best.open.parkedKeys) },
  };
}

function describe({ silent, unheld, lagRecords, lagSeconds, open }: Left): string {
  const waiting = silent.length === 0 ? '' : `; no answer from ${silent.map(({ shard }) => shard).join(', ')}`;
  const moving = unheld === 0 || silent.length > 0 ? '' : `; ${count(unheld)} slots between two shards`;
  const sagas = open.sagas === 0 ? '' : `; open: ${count(open.orders)} orders, ${count(open.sagas - open.orders)} returns and transfers`;
  const parked = open.parkedKeys === 0 ? '' : `; parked: ${count(open.parkedKeys)} keys of sagas`;
  return `applying what is left: lag ${count(lagRecords)} records, ${lagSeconds} s${sagas}${parked}${waiting}${moving}`;
}
