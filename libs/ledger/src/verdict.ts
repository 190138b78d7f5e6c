/** What a verification finds: counts of everything, and the first differences in full. */
import type { ShardId } from '@millrace/write';
import { DIFFERENCES_SHOWN_MAX } from './limits.ts';

/** Every kind of difference, with the count of the verdict that it feeds. */
export const KINDS = {
  /** A record that must have a journal row, or be parked, has none; or an acknowledged write is not in the log. */
  lost: 'lost',
  /** A journal row for a duplicate, or one digest twice. */
  doubled: 'doubled',
  /** An outcome that offset order does not give, or another record's row at an offset. */
  out_of_order: 'outOfOrder',
  /** A journal row that no record explains, or that differs from its record. */
  wrong_row: 'wrongRow',
  /** Rows of a slot on a shard that does not hold it, though no move of the slot is open. */
  wrong_shard: 'wrongShard',
  /** What was noted for a move (`changed`, `incoming`), though no move of the slot is open. */
  move_leftover: 'moveLeftovers',
  /** An account differs from the fold of the log. */
  wrong_balance: 'wrongBalance',
  wrong_payment: 'wrongPayment',
  wrong_stock: 'wrongStock',
  wrong_order: 'wrongOrder',
  /** A parked row differs from its record, or no record explains it. */
  wrong_parked: 'wrongParked',
  /** A position that the log cannot explain. */
  wrong_position: 'wrongPosition',
  /** Not exactly one shard holds the slot, or another one than the topology names; or a shard's identity is wrong. */
  wrong_slot: 'wrongSlot',
  /** Records that the shard has not applied yet. */
  not_yet_applied: 'notYetApplied',
  /** Kafka no longer holds the start of the slot. */
  log_truncated: 'logTruncated',
  /** The log could not be read to its end. */
  log_unread: 'logUnread',
} as const;

export type DifferenceKind = keyof typeof KINDS;

export interface Difference {
  readonly kind: DifferenceKind;
  readonly shard: ShardId;
  /** Absent where the difference concerns the whole shard. */
  readonly slot?: number;
  readonly offset?: bigint;
  readonly key?: string;
  readonly expected: string;
  readonly actual: string;
}

type DifferenceCounts = { readonly [Kind in DifferenceKind as (typeof KINDS)[Kind]]: number };

export interface Verdict extends DifferenceCounts {
  /** Records of the log up to the ends that were checked. */
  readonly records: number;
  /** Journal rows that agree with the log, by outcome; a mismatch is a refusal too, but counted on its own. */
  readonly applied: number;
  readonly refused: number;
  readonly mismatches: number;
  /** Records that repeat an earlier one and rightly have no row. */
  readonly duplicates: number;
  readonly parked: number;
  /** Of the parked: valid to the checker, parked on the shard's word that Postgres refused their data. */
  readonly parkedOnTrust: number;
  /** Slots of moves that were open while the ledger was checked. */
  readonly moving: number;
  /** Rows that such moves rightly have besides those of the holder: copies, notes, what is still to be purged. */
  readonly movingRows: number;
  /** Receipts that were compared with the log, where some were given. */
  readonly acked?: number;
  /** The first of them, slot by slot. */
  readonly differences: readonly Difference[];
  /** How many there are in all; one may stand for many rows or records. */
  readonly differencesFound: number;
  readonly clean: boolean;
}

type Agreement = 'records' | 'applied' | 'refused' | 'mismatches' | 'duplicates' | 'parked' | 'parkedOnTrust' | 'moving' | 'movingRows' | 'acked';

/** Where the comparisons tell what they find. */
export interface Report {
  agrees(what: Agreement, count?: number): void;
  /** `count`: how many rows or records the one difference stands for. */
  differs(difference: Difference, count?: number): void;
  verdict(): Verdict;
}

export function createReport({ withAcked }: { withAcked: boolean }): Report {
  const agreed: Record<Agreement, number> = { records: 0, applied: 0, refused: 0, mismatches: 0, duplicates: 0, parked: 0, parkedOnTrust: 0, moving: 0, movingRows: 0, acked: 0 };
  const counts = new Map<DifferenceKind, number>();
  const differences: Difference[] = [];
  let differencesFound = 0;
  return {
    agrees(what, count = 1) {
      agreed[what] += count;
    },
    differs(difference, count = 1) {
      counts.set(difference.kind, (counts.get(difference.kind) ?? 0) + count);
      differencesFound += 1;
      if (differences.length < DIFFERENCES_SHOWN_MAX) differences.push(difference);
    },
    verdict() {
      const { acked, ...rest } = agreed;
      return {
        ...rest,
        ...(withAcked ? { acked } : {}),
        ...countsByName(counts),
        differences: [...differences],
        differencesFound,
        clean: differencesFound === 0,
      };
    },
  };
}

/** The verdict for people: one line that says it all, the sums behind it, and the first differences. */
export function formatVerdict(verdict: Verdict): string {
  const lines = [headline(verdict), sums(verdict), ...verdict.differences.map(formatDifference)];
  const hidden = verdict.differencesFound - verdict.differences.length;
  if (hidden > 0) lines.push(`  and ${count(hidden)} more`);
  return lines.join('\n');
}

function headline(verdict: Verdict): string {
  const { applied, refused, mismatches } = verdict;
  const refusals = refused + mismatches;
  const parts = [
    verdict.acked === undefined ? `${count(verdict.records)} in the log` : `${count(verdict.acked)} acked`,
    `${count(applied + refusals)} applied once${refusals === 0 ? '' : ` (${count(refusals)} of them refused)`}`,
    ...positive(verdict.duplicates, 'duplicates left out'),
    ...positive(verdict.parked, 'parked'),
    ...positive(verdict.notYetApplied, 'not yet applied'),
    ...(verdict.moving === 0 ? [] : [`${count(verdict.moving)} slots moving (${count(verdict.movingRows)} rows of theirs under way)`]),
    `${count(verdict.lost)} lost`,
    `${count(verdict.doubled)} doubled`,
    `${count(verdict.outOfOrder)} out of order`,
  ];
  return `${parts.join(', ')}; ${verdictOnRows(verdict)}`;
}

function verdictOnRows(verdict: Verdict): string {
  if (verdict.logTruncated > 0) return 'NOT CHECKED in full: the log no longer reaches back to the start';
  const wrong = [
    ...positive(verdict.wrongBalance, 'wrong balances'),
    ...positive(verdict.wrongPayment, 'wrong payments'),
    ...positive(verdict.wrongOrder, 'wrong orders'),
    ...positive(verdict.wrongStock, 'wrong stock items'),
    ...positive(verdict.wrongShard, 'rows on a wrong shard'),
    ...positive(verdict.moveLeftovers, 'leftovers of moves'),
    ...positive(verdict.wrongRow, 'wrong journal rows'),
    ...positive(verdict.wrongParked, 'wrong parked rows'),
    ...positive(verdict.wrongPosition, 'wrong positions'),
    ...positive(verdict.wrongSlot, 'wrong slot rows'),
    ...positive(verdict.logUnread, 'slots not read to their end'),
  ];
  return wrong.length === 0 ? 'balances match' : wrong.join(', ');
}

function sums(verdict: Verdict): string {
  const { records, applied, refused, mismatches, duplicates, parked, parkedOnTrust } = verdict;
  const trust = parkedOnTrust === 0 ? '' : ` (${count(parkedOnTrust)} on the shard's word)`;
  const facts = `${count(applied)} applied, ${count(refused)} refused, ${count(mismatches)} mismatches, ${count(duplicates)} duplicates, ${count(parked)} parked${trust}`;
  return `${verdict.clean ? 'clean' : 'NOT CLEAN'}: ${count(records)} records: ${facts}`;
}

function formatDifference({ kind, shard, slot, offset, key, expected, actual }: Difference): string {
  const at = [`shard ${shard}`, ...(slot === undefined ? [] : [`slot ${slot}`]), ...(offset === undefined ? [] : [`offset ${offset}`]), ...(key === undefined ? [] : [`key ${key}`])];
  return `  ${kind} at ${at.join(', ')}: expected ${expected}; actual ${actual}`;
}

function countsByName(counts: ReadonlyMap<DifferenceKind, number>): DifferenceCounts {
  const named = Object.entries(KINDS).map(([kind, name]) => [name, counts.get(kind as DifferenceKind) ?? 0]);
  return Object.fromEntries(named) as DifferenceCounts;
}

function positive(amount: number, what: string): readonly string[] {
  return amount === 0 ? [] : [`${count(amount)} ${what}`];
}

function count(amount: number): string {
  return amount.toLocaleString('en-US');
}
