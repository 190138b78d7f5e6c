/**
 * What waits in a lane. There are two orders: a main lane takes what came first, a side lane the first record of each
 * of its slots. In both, the records of a slot stay in the order in which they were sent (L3).
 */
import { group, type Batch, type Waiting } from './waiting.ts';

export interface LaneQueue {
  readonly length: number;
  push(record: Waiting): void;
  /** The next request, at least one record. Requires that something waits. */
  take(): readonly Batch[];
  /** L3: what was taken last and not settled goes back before what waits. */
  putBack(batches: readonly Batch[]): void;
  /** Takes out what waits since this instant (`performance.now()`) or longer. */
  takeOlder(sinceMs: number): readonly Waiting[];
  /** Takes out all that waits for these slots. */
  takeSlots(slots: ReadonlySet<number>): readonly Waiting[];
}

export interface RequestLimits {
  readonly recordsPerRequestMax: number;
  /** Keys and values; one record may be larger, alone. */
  readonly bytesPerRequestMax: number;
}

/** By arrival: as much as fits into a request. */
export function createMainQueue({ recordsPerRequestMax, bytesPerRequestMax }: RequestLimits): LaneQueue {
  let waiting: Waiting[] = [];
  /** The queue starts here; what is before it has been taken. */
  let head = 0;

  function takeOut(isTaken: (record: Waiting) => boolean): readonly Waiting[] {
    const taken: Waiting[] = [];
    const kept: Waiting[] = [];
    for (let i = head; i < waiting.length; i += 1) {
      const record = waiting[i] as Waiting;
      (isTaken(record) ? taken : kept).push(record);
    }
    waiting = kept;
    head = 0;
    return taken;
  }

  return {
    get length() {
      return waiting.length - head;
    },
    push: (record) => {
      waiting.push(record);
    },
    take: () => {
      let bytes = 0;
      let end = head;
      while (end < waiting.length && end - head < recordsPerRequestMax) {
        const { keyBytes, valueBytes } = waiting[end] as Waiting;
        bytes += keyBytes + valueBytes;
        if (bytes > bytesPerRequestMax && end > head) break;
        end += 1;
      }
      const taken = waiting.slice(head, end);
      head = end;
      if (head === waiting.length || head > 4 * recordsPerRequestMax) {
        waiting = waiting.slice(head);
        head = 0;
      }
      return group(taken);
    },
    putBack: (batches) => {
      waiting = [...batches.flatMap(({ records }) => records), ...waiting.slice(head)];
      head = 0;
    },
    takeOlder: (sinceMs) => takeOut((record) => record.sinceMs <= sinceMs),
    takeSlots: (slots) => takeOut((record) => slots.has(record.slot)),
  };
}

/**
 * By slot: one record of each, so that none waits behind the many of another, and little is stored twice where the
 * broker stores without saying so. What does not fit comes first in the next request.
 */
export function createSideQueue({ recordsPerRequestMax, bytesPerRequestMax }: RequestLimits): LaneQueue {
  const bySlot = new Map<number, Waiting[]>();
  let length = 0;

  function takeOut(slot: number, isTaken: (record: Waiting) => boolean): readonly Waiting[] {
    const records = bySlot.get(slot) ?? [];
    const kept = records.filter((record) => !isTaken(record));
    if (kept.length === 0) bySlot.delete(slot);
    else bySlot.set(slot, kept);
    length -= records.length - kept.length;
    return records.filter(isTaken);
  }

  return {
    get length() {
      return length;
    },
    push: (record) => {
      length += 1;
      const records = bySlot.get(record.slot);
      if (records === undefined) bySlot.set(record.slot, [record]);
      else records.push(record);
    },
    take: () => {
      const batches: Batch[] = [];
      let bytes = 0;
      for (const [slot, records] of bySlot) {
        const first = records[0] as Waiting;
        bytes += first.keyBytes + first.valueBytes;
        if (batches.length === recordsPerRequestMax || (bytes > bytesPerRequestMax && batches.length > 0)) break;
        batches.push({ slot, records: [first] });
      }
      for (const { slot } of batches) {
        const rest = (bySlot.get(slot) as Waiting[]).slice(1);
        bySlot.delete(slot);
        if (rest.length > 0) bySlot.set(slot, rest); // behind the slots that were not taken
      }
      length -= batches.length;
      return batches;
    },
    putBack: (batches) => {
      for (const { slot, records } of batches) {
        bySlot.set(slot, [...records, ...(bySlot.get(slot) ?? [])]);
        length += records.length;
      }
    },
    takeOlder: (sinceMs) => [...bySlot.keys()].flatMap((slot) => takeOut(slot, (record) => record.sinceMs <= sinceMs)),
    takeSlots: (slots) => [...slots].flatMap((slot) => takeOut(slot, () => true)),
  };
}
