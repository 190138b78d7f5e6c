/** What a verification finds: counts of everything, and the first differences in full. */
import type { ShardId, Stream } from '@millrace/write';
import { DIFFERENCES_SHOWN_MAX, OPEN_SAGAS_SHOWN_MAX } from './limits.ts';

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
  wrong_hold: 'wrongHold',
  wrong_saga: 'wrongSaga',
  /** Money or stock that is kept, though no payment and no hold keeps it; or the other way round. */
  wrong_escrow: 'wrongEscrow',
  /** A journal row does not send what its record must send. */
  wrong_message: 'wrongMessage',
  /** A journal row sent a message on, and its topic does not hold it. */
  lost_message: 'lostMessage',
  /** A record between the streams that no journal row sent. */
  invented_message: 'inventedMessage',
  /** A saga whose participants say otherwise. */
  unsettled: 'unsettled',
  /** Money or stock that came from nowhere, or is gone. */
  not_conserved: 'notConserved',
  /** Where all must have ended: a saga, its start or a message of one that is under way, a key of one that is parked, sums that could not be judged. */
  not_ended: 'notEnded',
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
  readonly stream?: Stream;
  /** Absent where the difference concerns the whole shard. */
  readonly slot?: number;
  readonly offset?: bigint;
  readonly key?: string;
  readonly expected: string;
  readonly actual: string;
}

type DifferenceCounts = { readonly [Kind in DifferenceKind as (typeof KINDS)[Kind]]: number };

/** How many sagas of a kind ended how, and how many are under way. */
export interface SagaCounts {
  readonly confirmed: number;
  readonly rejected: number;
  readonly cancelled: number;
  /** From the moment it is placed; of a return or a transfer, from when it was taken. */
  readonly open: number;
}

/** A saga that has not ended. */
export interface OpenSaga {
  readonly saga: string;
  readonly state: string;
  /** Kafka's time of the record that brought it to this state. */
  readonly sinceMs: number;
  readonly waitingFor: string;
}

export interface Verdict extends DifferenceCounts {
  /** Records of the log up to the ends that were checked, those between the streams left aside. */
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
  readonly orders: SagaCounts;
  readonly returns: SagaCounts;
  readonly transfers: SagaCounts;
  /** Records between the streams: commands of sagas to participants, and all of stream `sagas`. */
  readonly steps: number;
  /** Their journal rows that agree with the logs. */
  readonly stepsApplied: number;
  /** Of them, those that came again, and those that came again in other bytes. */
  readonly stepDuplicates: number;
  readonly stepMismatches: number;
  /** Messages of journal rows that no topic needs to hold yet. */
  readonly messagesUnderWay: number;
  /** What participants rightly keep for sagas that are open. */
  readonly heldForOpen: number;
  /** Whether all money and stock was added up; it is not while something moves, or a saga is open. */
  readonly sumsJudged: boolean;
  /** The first sagas that are open; `orders`, `returns` and `transfers` count all. */
  readonly openSagas: readonly OpenSaga[];
  /** Receipts that were compared with the log, where some were given. */
  readonly acked?: number;
  /** The first of them, slot by slot. */
  readonly differences: readonly Difference[];
  /** How many there are in all; one may stand for many rows or records. */
  readonly differencesFound: number;
  readonly clean: boolean;
}

const AGREEMENTS = [
  'records', 'applied', 'refused', 'mismatches', 'duplicates', 'parked', 'parkedOnTrust', 'moving', 'movingRows', 'acked',
  'steps', 'stepsApplied', 'stepDuplicates', 'stepMismatches', 'messagesUnderWay', 'heldForOpen',
] as const;
export type Agreement = (typeof AGREEMENTS)[number];

type SagaPlural = 'orders' | 'returns' | 'transfers';

/** Where the comparisons tell what they find. */
export interface Report {
  agrees(what: Agreement, count?: number): void;
  saga(of: SagaPlural, is: keyof SagaCounts, open?: OpenSaga): void;
  sumsAreJudged(): void;
  /** `count`: how many rows or records the one difference stands for. */
  differs(difference: Difference, count?: number): void;
  verdict(): Verdict;
}

export function createReport({ withAcked }: { withAcked: boolean }): Report {
  const agreed = Object.fromEntries(AGREEMENTS.map((what) => [what, 0])) as Record<Agreement, number>;
  const none: SagaCounts = { confirmed: 0, rejected: 0, cancelled: 0, open: 0 };
  const sagas = { orders: { ...none }, returns: { ...none }, transfers: { ...none } };
  const openSagas: OpenSaga[] = [];
  const counts = new Map<DifferenceKind, number>();
  const differences: Difference[] = [];
  let differencesFound = 0;
  let sumsJudged = false;
  return {
    agrees(what, count = 1) {
      agreed[what] += count;
    },
    saga(of, is, open) {
      sagas[of] = { ...sagas[of], [is]: sagas[of][is] + 1 };
      if (open !== undefined && openSagas.length < OPEN_SAGAS_SHOWN_MAX) openSagas.push(open);
    },
    sumsAreJudged() {
      sumsJudged = true;
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
        ...sagas,
        openSagas: [...openSagas],
        sumsJudged,
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
  const lines = [headline(verdict), ...sagasLines(verdict), sums(verdict), ...verdict.differences.map(formatDifference)];
  const hidden = verdict.differencesFound - verdict.differences.length;
  if (hidden > 0) lines.push(`  and ${count(hidden)} more`);
  return lines.join('\n');
}

/** Nothing where there are none; what is open is named. */
function sagasLines(verdict: Verdict): readonly string[] {
  const { steps, heldForOpen, messagesUnderWay, openSagas, orders, returns, transfers } = verdict;
  const all = Object.entries({ orders, returns, transfers }).filter(([, counts]) => Object.values(counts).some((amount) => amount > 0));
  if (all.length === 0 && steps === 0) return [];
  const kinds = all.map(([name, { confirmed, rejected, cancelled, open }]) => `${name}: ${count(confirmed)} confirmed, ${count(rejected)} rejected, ${count(cancelled)} cancelled, ${count(open)} open`);
  const rest = [`${count(steps)} steps`, ...positive(messagesUnderWay, 'messages under way'), ...positive(heldForOpen, 'holds for what is open')].join(', ');
  const hidden = orders.open + returns.open + transfers.open - openSagas.length;
  return [
    [...kinds, rest].join('; '),
    ...openSagas.map(({ saga, state, sinceMs, waitingFor }) => `  open: ${saga}, ${state} since ${new Date(sinceMs).toISOString()}, waits for ${waitingFor}`),
    ...(hidden > 0 && openSagas.length > 0 ? [`  and ${count(hidden)} more open`] : []),
  ];
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
  return `${parts.join(', ')}; ${verdictOnRows(verdict)}${verdict.sumsJudged || verdict.logTruncated > 0 ? '' : '; sums of money and stock not judged: something is under way'}`;
}

function verdictOnRows(verdict: Verdict): string {
  if (verdict.logTruncated > 0) return 'NOT CHECKED in full: the log no longer reaches back to the start';
  const wrong = [
    ...positive(verdict.wrongBalance, 'wrong balances'),
    ...positive(verdict.wrongPayment, 'wrong payments'),
    ...positive(verdict.wrongOrder, 'wrong orders'),
    ...positive(verdict.wrongStock, 'wrong stock items'),
    ...positive(verdict.wrongHold, 'wrong holds'),
    ...positive(verdict.wrongSaga, 'wrong sagas'),
    ...positive(verdict.wrongEscrow, 'wrong escrows'),
    ...positive(verdict.wrongMessage, 'journal rows with wrong messages'),
    ...positive(verdict.lostMessage, 'lost messages'),
    ...positive(verdict.inventedMessage, 'invented messages'),
    ...positive(verdict.unsettled, 'sagas that their participants contradict'),
    ...positive(verdict.notConserved, 'sums of money or stock that do not add up'),
    ...positive(verdict.notEnded, 'not ended'),
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

function formatDifference({ kind, shard, stream, slot, offset, key, expected, actual }: Difference): string {
  const at = [`shard ${shard}`, ...(stream === undefined ? [] : [`stream ${stream}`]), ...(slot === undefined ? [] : [`slot ${slot}`]), ...(offset === undefined ? [] : [`offset ${offset}`]), ...(key === undefined ? [] : [`key ${key}`])];
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
