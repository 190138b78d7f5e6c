/** The receipts that clients hold, by slot: each names a record that the log must have. */
import type { Digest, Receipt, ShardId } from '@millrace/write';
import type { Report } from './verdict.ts';

export type AckedBySlot = ReadonlyMap<number, ReadonlyMap<bigint, Digest>>;

/** Groups receipts by slot. What contradicts itself is reported at once: no log can satisfy it. */
export function groupAcked(receipts: Iterable<Receipt>, { owners, report }: { readonly owners: readonly ShardId[]; readonly report: Pick<Report, 'differs'> }): AckedBySlot {
  const slots = new Map<number, Map<bigint, Digest>>();
  for (const { slot, offset, digest } of receipts) {
    const ofSlot = slots.get(slot) ?? new Map<bigint, Digest>();
    const other = ofSlot.get(offset);
    const shard = owners[slot];
    if (shard === undefined) reportLost({ shard: NO_SHARD, slot, offset }, digest, `there are ${owners.length} slots`);
    else if (other !== undefined && other !== digest) reportLost({ shard, slot, offset }, digest, `another receipt puts ${other} there`);
    else slots.set(slot, ofSlot.set(offset, digest));
  }
  return slots;

  function reportLost(at: { readonly shard: ShardId; readonly slot: number; readonly offset: bigint }, digest: Digest, actual: string): void {
    report.differs({ kind: 'lost', ...at, expected: `the acknowledged write ${digest} in the log`, actual });
  }
}

const NO_SHARD = 'none' as ShardId;
