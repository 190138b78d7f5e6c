/** What waits or is in flight over all lanes of a topic, and who waits for room in it. */
import { assert } from '@millrace/write';
import type { LaneLimits, LaneMetrics } from './types.ts';
import type { Waiting } from './waiting.ts';

export interface Backlog {
  readonly records: number;
  readonly bytes: number;
  /** An empty backlog has room for any record. */
  hasRoom(bytes: number): boolean;
  add(bytes: number): void;
  /** The records are settled, stored or not. */
  release(records: readonly Waiting[]): void;
  /** Resolves with the next release. */
  room(): Promise<void>;
}

export function createBacklog(limits: Pick<LaneLimits, 'queuedRecordsMax' | 'queuedBytesMax'>, metrics: LaneMetrics | undefined): Backlog {
  let records = 0;
  let bytes = 0;
  let roomWaiters: (() => void)[] = [];

  return {
    get records() {
      return records;
    },
    get bytes() {
      return bytes;
    },
    hasRoom: (more) => records === 0 || (records < limits.queuedRecordsMax && bytes + more <= limits.queuedBytesMax),
    add: (more) => {
      records += 1;
      bytes += more;
    },
    release: (settled) => {
      if (settled.length === 0) return;
      records -= settled.length;
      for (const record of settled) bytes -= record.keyBytes + record.valueBytes + record.headersBytes;
      assert(records >= 0 && bytes >= 0, 'what was released had been queued');
      metrics?.queued({ records, bytes });
      const waiters = roomWaiters;
      roomWaiters = [];
      for (const wakeUp of waiters) wakeUp();
    },
    room: () =>
      new Promise((resolve) => {
        roomWaiters.push(resolve);
      }),
  };
}
