/** Which slots are folded together: as many as fit the limit of a pass, so that memory does not grow with the log. */
import type { LogEnds } from './snapshot.ts';

/** Slots in order, cut into passes of at most `recordsMax` records; a slot that has more makes a pass of its own. */
export function planPasses(ends: readonly LogEnds[], recordsMax: number): readonly (readonly LogEnds[])[] {
  const passes: LogEnds[][] = [];
  let room = 0n;
  for (const end of ends) {
    const records = end.high - end.low;
    const current = passes.at(-1);
    if (current === undefined || records > room) {
      passes.push([end]);
      room = BigInt(recordsMax) - records;
    } else {
      current.push(end);
      room -= records;
    }
  }
  return passes;
}
