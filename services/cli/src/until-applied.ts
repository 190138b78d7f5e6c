/** The wait between the last acknowledgement and the verdict. */
import { sleep } from '@millrace/runtime';

import { count, type Output } from './output.ts';
import { totalsOf, type ShardStanding, type Standing } from './standing.ts';

const LOOK_EVERY_MS = 200;
/** Without one more applied record, or one more shard that answers, for this long, the wait ends. */
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
 * Until every shard answers, every slot is held and none lags. A lag that no longer shrinks ends the wait too: the verdict then tells
 * what is missing. @throws ShardSilent, or what the look throws
 */
export async function untilApplied({ look, output, signal, nowMs = () => performance.now() }: Wait): Promise<void> {
  let best: Left | undefined;
  let bestAtMs = nowMs();
  for (;;) {
    const left = leftOf(await look());
    const [silent] = left.silent;
    if (silent === undefined && left.unheld === 0 && left.lagRecords === 0n) return;
    output.live(describe(left));
    if (best === undefined || isLess(left, best)) [best, bestAtMs] = [left, nowMs()];
    if (nowMs() - bestAtMs > STUCK_MS) {
      if (silent !== undefined) throw new ShardSilent(silent);
      return;
    }
    await sleep(LOOK_EVERY_MS, signal);
  }
}

interface Left {
  /** Their lag is unknown. */
  readonly silent: readonly ShardStanding[];
  /** Slots whose lag is unknown too. */
  readonly unheld: number;
  readonly lagRecords: bigint;
  readonly lagSeconds: number;
}

function leftOf({ shards, slots, unheld }: Standing): Left {
  const { lagRecords, lagSeconds } = totalsOf(slots);
  return { silent: shards.filter((shard) => shard.problem !== undefined), unheld, lagRecords, lagSeconds };
}

/** The lags of different numbers of shards, or slots, do not compare. */
function isLess(left: Left, best: Left): boolean {
  if (left.silent.length !== best.silent.length) return left.silent.length < best.silent.length;
  if (left.unheld !== best.unheld) return left.unheld < best.unheld;
  return left.lagRecords < best.lagRecords;
}

function describe({ silent, unheld, lagRecords, lagSeconds }: Left): string {
  const waiting = silent.length === 0 ? '' : `; no answer from ${silent.map(({ shard }) => shard).join(', ')}`;
  const moving = unheld === 0 || silent.length > 0 ? '' : `; ${count(unheld)} slots between two shards`;
  return `applying what is left: lag ${count(lagRecords)} records, ${lagSeconds} s${waiting}${moving}`;
}
