/** Records that wait behind one that cannot apply (W8). */
import { copyText, type Sql } from '@millrace/postgres';
import type { Offset, Slot, Stream } from '@millrace/write';
import type { ParkedRow } from './fold.ts';

export interface StoredParked {
  readonly slot: Slot;
  readonly offset: Offset;
  readonly key: string;
  readonly value: Buffer | null;
  readonly at_ms: bigint;
  readonly reason: string;
}

export interface ParkedKey {
  readonly slot: Slot;
  readonly key: string;
  /** How many of its records to read, oldest first. */
  readonly recordsMax: number;
}

/** The waiting records of some keys, oldest first. */
export function readParked(stream: Stream, keys: readonly ParkedKey[]): Sql {
  return {
    name: 'parked-read',
    text: `select p.slot, p."offset", p.key, p.value, p.at_ms, p.reason
           from unnest($2::int[], $3::text[], $4::int[]) as k(slot, key, records_max)
           cross join lateral (
             select * from parked p where p.slot = k.slot and p.stream = $1 and p.key = k.key
             order by p."offset" limit k.records_max
           ) p
           order by p.slot, p."offset"`,
    values: [stream, keys.map((k) => k.slot), keys.map((k) => k.key), keys.map((k) => k.recordsMax)],
  };
}

export const COPY_PARKED = 'copy parked (slot, stream, "offset", key, value, at_ms, reason) from stdin';

export function copyParkedLine(stream: Stream, { record, reason }: ParkedRow): string {
  const value = record.value === null ? '\\N' : `\\\\x${record.value.toString('hex')}`;
  return `${record.slot}\t${stream}\t${record.offset}\t${copyText(storable(record.key))}\t${value}\t${record.atMs}\t${copyText(storable(reason))}\n`;
}

export function deleteParked(stream: Stream, records: readonly { readonly slot: Slot; readonly offset: Offset }[]): Sql {
  return {
    name: 'parked-delete',
    text: `delete from parked p using unnest($2::int[], $3::bigint[]) as u(slot, "offset")
           where p.slot = u.slot and p.stream = $1 and p."offset" = u."offset"`,
    values: [stream, records.map((r) => r.slot), records.map((r) => r.offset)],
  };
}

/** Postgres text holds no NUL. */
function storable(text: string): string {
  return text.replaceAll('\0', '\ufffd');
}
