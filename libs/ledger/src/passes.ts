/** Which slots are folded together: as many as fit the limit of a pass, so that memory does not grow with the logs. */

export interface SlotSize {
  readonly slot: number;
  /** Of both streams. */
  readonly records: bigint;
}

/** Slots in order, cut into passes of at most `recordsMax` records; a slot that has more makes a pass of its own. */
export function planPasses(slots: readonly SlotSize[], recordsMax: number): readonly (readonly number[])[] {
  const passes: number[][] = [];
  let room = 0n;
  for (const { slot, records } of slots) {
    const current = passes.at(-1);
    if (current === undefined || records > room) {
      passes.push([slot]);
      room = BigInt(recordsMax) - records;
    } else {
      current.push(slot);
      room -= records;
    }
  }
  return passes;
}
