/** What is in flight between the first byte of a single write and its answer, against the limits. */
import { assert } from '@millrace/write';
import type { Limits } from '../limits.ts';

export interface InFlight {
  /** False at the limit; then nothing is taken. */
  takeRecord(): boolean;
  giveRecord(): void;
  takeBytes(bytes: number): boolean;
  giveBytes(bytes: number): void;
  records(): number;
  bytes(): number;
}

export function createInFlight({ inFlightRecordsMax, inFlightBytesMax }: Limits): InFlight {
  let records = 0;
  let bytes = 0;
  return {
    takeRecord() {
      if (records >= inFlightRecordsMax) return false;
      records += 1;
      return true;
    },
    giveRecord() {
      records -= 1;
      assert(records >= 0, 'a record is given back once');
    },
    takeBytes(more) {
      if (bytes + more > inFlightBytesMax) return false;
      bytes += more;
      return true;
    },
    giveBytes(less) {
      bytes -= less;
      assert(bytes >= 0, 'bytes are given back once');
    },
    records: () => records,
    bytes: () => bytes,
  };
}
