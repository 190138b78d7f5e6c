/** What operators see of sagas on a shard. */
import { OPEN_SAGA_STATES, type Refusal, type SagaRow, type SagaStateName } from '@millrace/domain';
import type { Part, SagaKind } from '@millrace/saga';
import type { Sql } from '@millrace/postgres';
import type { Digest, Offset, Slot, Stream } from '@millrace/write';
import { OPEN } from './open.sql.ts';

export type StoredSaga = SagaRow & { readonly slot: Slot };

/** A saga without its body, of which up to 100 kB would travel for each that a list shows. */
export type SummaryRow = Omit<StoredSaga, 'body'> & {
  readonly attempt: number;
  readonly cause: Refusal | null;
  /** Parts that have not answered. */
  readonly waiting: number;
  /** The first of them. */
  readonly parts: readonly Part[];
};

/** A saga's place in the order of lists. */
export interface Place {
  readonly startedMs: bigint;
  readonly key: string;
  readonly saga: string;
}

export interface Wanted {
  readonly states: readonly SagaStateName[] | undefined;
  readonly kind: SagaKind | undefined;
  readonly startedBeforeMs: number;
  readonly behind: Place | undefined;
  readonly limit: number;
  /** Of each saga, parts that have not answered. */
  readonly namedMax: number;
}

const COLUMNS = 'slot, key, saga, state, body, due_ms, started_ms, changed_ms';

export function readSigns(): Sql {
  return { text: 'select slot, state, epoch, moved_to from slot' };
}

/**
 * The oldest first. Those that have not ended by their index; for those that have the table is read. Bodies are opened
 * once they are chosen, each once.
 */
export function listSagas(slots: readonly Slot[], { states, kind, startedBeforeMs, behind, limit, namedMax }: Wanted): Sql {
  const open: readonly SagaStateName[] = OPEN_SAGA_STATES;
  const areOpen = states === undefined || states.every((state) => open.includes(state));
  return {
    text: `select s.slot, s.key, s.saga, s.state, s.due_ms, s.started_ms, s.changed_ms, b.attempt, b.cause,
                  coalesce(jsonb_array_length(b.waiting), 0) as waiting,
                  (select coalesce(jsonb_agg(b.parts -> w.part::int order by w.place), '[]')
                   from jsonb_array_elements_text(b.waiting) with ordinality as w(part, place) where w.place <= $9) as parts
           from (
             select ${COLUMNS} from saga
             where ${areOpen ? OPEN : 'true'} and slot + 0 = any ($1::int[])
               and ($2::text[] is null or state = any ($2)) and ($3::text is null or split_part(saga, '/', 1) = $3)
               and started_ms between $4 and $5 and (started_ms, key, saga) > ($4, $6, $7)
             order by started_ms, key, saga limit $8
           ) s
           cross join lateral jsonb_to_record(s.body) as b(attempt int, cause jsonb, waiting jsonb, parts jsonb)`,
    values: [slots, states ?? null, kind ?? null, behind?.startedMs ?? 0n, startedBeforeMs, behind?.key ?? '', behind?.saga ?? '', limit, namedMax],
  };
}

export function readSaga({ slot, key, saga }: { readonly slot: Slot; readonly key: string; readonly saga: string }): Sql {
  return { text: `select ${COLUMNS} from saga where slot = $1 and key = $2 and saga = $3`, values: [slot, key, saga] };
}

export interface KeyOf {
  readonly slot: Slot;
  readonly stream: Stream;
  readonly key: string;
}

export interface ParkedHead extends KeyOf {
  readonly offset: Offset;
  readonly reason: string;
}

/** Of these keys those that are parked, with the record that cannot apply. */
export function readParkedHeads(keys: readonly KeyOf[]): Sql {
  return {
    text: `select p.slot, p.stream, p.key, p."offset", p.reason
           from unnest($1::int[], $2::stream[], $3::text[]) as k(slot, stream, key)
           cross join lateral (
             select * from parked p where p.slot = k.slot and p.stream = k.stream and p.key = k.key order by p."offset" limit 1
           ) p`,
    values: [keys.map(({ slot }) => slot), keys.map(({ stream }) => stream), keys.map(({ key }) => key)],
  };
}

export interface Outcome {
  readonly outcome: 'applied' | 'refused';
  readonly detail: { readonly [fact: string]: string } | null;
}

/** What became of a record of stream `sagas`. */
export function readOutcome({ slot, digest }: { readonly slot: Slot; readonly digest: Digest }): Sql {
  return {
    text: `select outcome, detail from journal where digest = $2::uuid and slot = $1 and stream = 'sagas'`,
    values: [slot, digest],
  };
}
