/** What a stream brings to the slot processor: its tables, and how a record becomes a command. Pure. */
import type { AnyTable, At, Decision, Ref, Rows } from '@millrace/domain';
import type { WriteEnvelope } from '@millrace/wire';
import type { BodyHash, Digest, Offset, Slot, Stream } from '@millrace/write';

export interface StreamModel {
  readonly stream: Stream;
  /** W7: the tables that this stream alone writes. */
  readonly tables: readonly AnyTable[];
  /** Records in one turn, where rows or messages of the stream are so large that the usual number would not fit in memory. */
  readonly turnRecordsMax?: number;
  /** The command of a record, or the reason why it can never apply. */
  command(envelope: WriteEnvelope, at: At): Command | PoisonReason;
  /** Whether the outcome of a record is for the feed of outcomes; the others are between the streams. */
  isPublic(row: { readonly type: string; readonly detail: unknown }): boolean;
}

export interface Command {
  readonly type: string;
  /** Every row that `apply` may get. */
  readonly reads: readonly Ref[];
  apply(rows: Rows): Decision;
}

/** Why a record can never apply; it parks its key. */
export interface PoisonReason {
  readonly poison: string;
}

/** A record as it stands in the log. */
export interface LoggedRecord {
  readonly slot: Slot;
  readonly offset: Offset;
  /** Empty where the record has none. */
  readonly key: string;
  readonly value: Buffer | null;
  /** Kafka's log-append time in milliseconds since 1970. */
  readonly atMs: number;
}

/** A record that was read: what it is, before any row is looked at. */
export type Entry = { readonly record: LoggedRecord; readonly bodyHash: BodyHash } & (
  | { readonly kind: 'command'; readonly digest: Digest; readonly command: Command }
  | { readonly kind: 'release'; readonly digest: Digest; readonly action: ReleaseAction }
  | { readonly kind: 'poison'; readonly reason: string }
);

export type ReleaseAction = 'retry' | 'skip';

/** Consecutive records of one slot, not read yet: every record of the log in [from, to), and no other. */
export interface Slice {
  readonly slot: Slot;
  readonly from: Offset;
  readonly to: Offset;
  readonly records: readonly LoggedRecord[];
  readonly bytes: number;
}
