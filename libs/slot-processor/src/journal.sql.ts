/** The journal: one append-only row per applied or refused record; dedup, outcome and outbox in one. */
import { copyText, plainArray, textArray, type Sql } from '@millrace/postgres';
import { toJson } from '@millrace/wire';
import type { BodyHash, Digest, Offset, Slot, Stream } from '@millrace/write';
import type { JournalRow } from './fold.ts';

export interface SeenRow {
  readonly slot: Slot;
  readonly digest: string;
  readonly body_hash: BodyHash;
  readonly offset: Offset;
}

/**
 * Which of the digests the journal already holds (W6).
 *
 * One look into the index of digests for each, whatever the planner believes of a table that grows by the second: the
 * lateral limit fixes the order of the join, and slot and stream are compared so that the primary key, which begins
 * with both, cannot serve.
 */
export function readSeen(stream: Stream, wanted: readonly { readonly slot: Slot; readonly digest: Digest }[]): Sql {
  return {
    name: 'journal-seen',
    text: `select j.slot, j.digest, j.body_hash, j."offset"
           from unnest($2::int[], $3::uuid[]) as k(slot, digest)
           cross join lateral (
             select * from journal j where j.digest = k.digest and j.slot + 0 = k.slot and j.stream::text = $1 limit 1
           ) j`,
    values: [stream, plainArray(wanted.map((w) => w.slot)), plainArray(wanted.map((w) => w.digest))],
  };
}

/** A digest as Postgres prints a uuid, turned back. */
export function digestOfUuid(uuid: string): Digest {
  return uuid.replaceAll('-', '') as Digest;
}

export const COPY_JOURNAL =
  'copy journal (slot, stream, "offset", body_hash, at_ms, digest, outcome, key, type, detail, messages) from stdin';

/** One line in COPY's text format; ids and hashes need no escape. */
export function copyJournalLine(stream: Stream, row: JournalRow): string {
  const { record } = row;
  const detail = row.detail === null ? '\\N' : copyText(toJson(row.detail));
  const messages = row.messages === null ? '\\N' : copyText(toJson(row.messages));
  return (
    `${record.slot}\t${stream}\t${record.offset}\t${row.bodyHash}\t${record.atMs}\t${row.digest ?? '\\N'}\t${row.outcome}` +
    `\t${copyText(record.key)}\t${copyText(row.type)}\t${detail}\t${messages}\n`
  );
}

/** The same rows by one statement, which travels with the others: for a few rows cheaper than the round trips of a COPY. */
export function insertJournal(stream: Stream, rows: readonly JournalRow[]): Sql {
  return {
    name: 'journal-insert',
    text: `insert into journal (slot, stream, "offset", body_hash, at_ms, digest, outcome, key, type, detail, messages)
           select slot, $1, "offset", body_hash, at_ms, digest, outcome, key, type, detail, messages
           from unnest($2::int[], $3::bigint[], $4::bigint[], $5::bigint[], $6::uuid[], $7::outcome[], $8::text[], $9::text[], $10::jsonb[], $11::json[])
             as u(slot, "offset", body_hash, at_ms, digest, outcome, key, type, detail, messages)`,
    values: [
      stream,
      plainArray(rows.map(({ record }) => record.slot)),
      plainArray(rows.map(({ record }) => record.offset)),
      plainArray(rows.map(({ bodyHash }) => bodyHash)),
      plainArray(rows.map(({ record }) => record.atMs)),
      plainArray(rows.map(({ digest }) => digest ?? 'null')),
      plainArray(rows.map(({ outcome }) => outcome)),
      textArray(rows.map(({ record }) => record.key)),
      textArray(rows.map(({ type }) => type)),
      textArray(rows.map(({ detail }) => (detail === null ? null : toJson(detail)))),
      textArray(rows.map(({ messages }) => (messages === null ? null : toJson(messages)))),
    ],
  };
}

export interface JournalEvent {
  readonly slot: Slot;
  readonly offset: Offset;
  readonly at_ms: bigint;
  readonly key: string;
  readonly type: string;
  readonly outcome: 'applied' | 'refused';
  readonly detail: unknown;
  readonly messages: readonly object[] | null;
}

const EVENT = 'slot, "offset", at_ms, key, type, outcome, detail, messages';

/**
 * Journal rows that a release let go, oldest first, from an offset on. They stand at their records' own offsets, below the
 * release.
 *
 * By the index over releases: the offset is compared and sorted by so that the primary key cannot serve.
 */
export function readReleased(stream: Stream, released: { readonly slot: Slot; readonly release: Offset; readonly from: Offset; readonly rowsMax: number }): Sql {
  return {
    name: 'journal-released',
    text: `select ${EVENT} from journal
           where slot = $1 and stream = $2 and detail ? 'released_by' and detail ->> 'released_by' = $3 and "offset" + 0 >= $4
           order by "offset" + 0 limit $5`,
    values: [released.slot, stream, released.release.toString(), released.from, released.rowsMax],
  };
}

/** Journal rows of [from, to), oldest first, but for those that releases let go: what a relay publishes again after a crash. */
export function readJournal(stream: Stream, range: { readonly slot: Slot; readonly from: Offset; readonly to: Offset; readonly rowsMax: number }): Sql {
  return {
    name: 'journal-range',
    text: `select ${EVENT} from journal
           where slot = $1 and stream = $2 and "offset" >= $3 and "offset" < $4 and not coalesce(detail ? 'released_by', false)
           order by "offset" limit $5`,
    values: [range.slot, stream, range.from, range.to, range.rowsMax],
  };
}
