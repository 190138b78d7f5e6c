/**
 * What a write type is: a schema, the rows it reads, and a pure fold of those rows.
 *
 * A fold sees rows and one record, nothing else: no clock (the record carries Kafka's log-append time), no
 * randomness, no I/O. The same records in the same order therefore give the same rows on any shard.
 * A refusal changes nothing. Each table is written by one stream only (W7).
 */
import type { Offset, RoutingKey, Stream, Tenant } from '@millrace/write';
import type { z } from 'zod';
import type { RefusalCode } from './refusals.ts';

export type ColumnType = 'text' | 'bigint' | 'jsonb';
export type Value = string | bigint | null | object;
/** A row as folds see it; the leading `slot` column is the storage's affair. */
export type Row = { readonly [column: string]: Value };

/** A table of the domain. On the shard its primary key is `(slot, ...key)`. */
export interface Table<R> {
  readonly name: string;
  readonly stream: Stream;
  /** Text columns that name a row within its slot. */
  readonly key: readonly (keyof R & string)[];
  readonly columns: { readonly [C in keyof R & string]: ColumnType };
}
export type AnyTable = Table<Row>;

/** A row that a write reads: the values of its table's key columns, in their order. */
export interface Ref {
  readonly table: AnyTable;
  readonly key: readonly string[];
}

/** The rows as the records before this one left them. */
export interface Rows {
  get<R>(table: Table<R>, key: readonly string[]): R | undefined;
}

/** Where and when a record stands in its stream. */
export interface At {
  readonly key: RoutingKey;
  readonly tenant: Tenant;
  /** Kafka's log-append time in milliseconds since 1970. */
  readonly atMs: number;
  readonly offset: Offset;
}

/** A row as it stands after the write: inserted where its key is new, replaced whole where it is not. */
export interface Change {
  readonly table: AnyTable;
  readonly row: Row;
}

/** A record that a write sends on: applied, or refused where somebody waits for the answer. */
export interface Message {
  readonly stream: Stream;
  readonly key: RoutingKey;
  readonly type: string;
  readonly idempotencyKey: string;
  readonly data: unknown;
}

/** What an outcome tells beside its code; amounts are decimal strings. */
export type Facts = { readonly [fact: string]: string };

export type Decision =
  | {
      readonly outcome: 'applied';
      readonly changes: readonly Change[];
      readonly detail?: Facts;
      readonly messages?: readonly Message[];
    }
  | {
      readonly outcome: 'refused';
      readonly code: RefusalCode;
      readonly detail?: Facts;
      readonly messages?: readonly Message[];
    };

/**
 * One type of write.
 *
 * `schema` checks HTTP bodies, NDJSON data and records alike, and gives one canonical form: parsing what it
 * returned changes nothing. `id` is the part of the routing key after the tenant. `apply` may only get rows that
 * `reads` names.
 */
export interface WriteType<D> {
  readonly type: string;
  readonly summary: string;
  readonly schema: z.ZodType<D>;
  id(data: D): string;
  reads(at: At, data: D): readonly Ref[];
  apply(rows: Rows, at: At, data: D): Decision;
}
/** A write type by name: its data is what its own schema returned. */
export type AnyWriteType = WriteType<unknown>;

export function put<R extends Row>(table: Table<R>, row: R): Change {
  return { table, row };
}

export function applied(...changes: readonly Change[]): Decision {
  return { outcome: 'applied', changes };
}

export function refused(code: RefusalCode, detail?: Facts): Decision {
  return detail === undefined ? { outcome: 'refused', code } : { outcome: 'refused', code, detail };
}
