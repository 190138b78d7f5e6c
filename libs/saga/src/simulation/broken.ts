/** How rules of the folds are broken: what a fold is given, or what it decided, is changed on its way. */
import {
  account,
  hold,
  refused,
  replyTo,
  parseSagaId,
  saga as sagaTable,
  stock,
  type AccountRow,
  type At,
  type Change,
  type Decision,
  type HoldRow,
  type Message,
  type ParticipantKind,
  type Phase,
  type Rows,
  type SagaRow,
  type StockRow,
  type Table,
} from '@millrace/domain';
import { must, type Stream } from '@millrace/write';
import { rowOf, sagaOf } from '../row.ts';
import { isOpen, type OpenSaga, type Saga } from '../saga.ts';
import { PHASES } from '../step.ts';
import type { Random } from './random.ts';
import type { Rule } from './rules.ts';

/** A record at its place, and the rows that it sees. */
export interface Fold {
  readonly stream: Stream;
  readonly type: string;
  readonly data: FoldData;
  readonly at: At;
  readonly rows: Rows;
}

/** What records of sagas and participants say. */
export interface FoldData {
  readonly saga?: string;
  readonly kind?: ParticipantKind;
  readonly id?: string;
  readonly phase?: Phase;
  readonly done?: boolean;
  readonly due_ms?: number;
  readonly account?: string;
  readonly sku?: string;
  readonly attempt?: number;
  readonly amount?: string;
  readonly quantity?: number;
}

export interface Breakage {
  readonly given?: (fold: Fold) => Fold;
  readonly decided?: (decision: Decision, fold: Fold, random: Random) => Decision;
}

const LENT = 1_000_000n;

/** Of the rules that are kept by folds; the others are kept by what carries messages. */
export const BREAKAGES: { readonly [R in Rule]?: Breakage } = {
  tombstone: {
    decided: (decision, fold) => (isReleaseBeforeHold(fold) ? { ...decision, outcome: 'applied', changes: [] } : decision),
  },
  releaseBeforeHoldAnswers: {
    decided: (decision, fold) => (isReleaseBeforeHold(fold) && decision.outcome === 'applied' ? { outcome: 'applied', changes: decision.changes } : decision),
  },
  compensationSucceeds: {
    decided(decision, fold, random) {
      if (!fold.type.endsWith('.release') || holdOf(fold)?.state !== 'held' || random.oneIn(2)) return decision;
      const { saga = '', attempt = 0 } = fold.data;
      const outcome = { done: false, code: 'stock_overflow' } as const;
      const reply = replyTo(must(parseSagaId(saga), 'it names a saga'), { kind: kindOf(fold), id: fold.data.account ?? fold.data.sku ?? '' }, { phase: 'release', attempt, outcome });
      return { ...refused(outcome.code), messages: [reply] };
    },
  },
  holdChecksPool: {
    given: (fold) => (fold.type.endsWith('.hold') ? { ...fold, rows: lent(fold.rows) } : fold),
    decided: (decision, { type }) => (type.endsWith('.hold') ? changed(decision, takeBack) : decision),
  },
  holdOfItsKind: {
    given(fold) {
      const get = <T>(of: Table<T>, key: readonly string[]): T | undefined => {
        const [id = '', , saga = ''] = key;
        return fold.rows.get(of, key) ?? (of.name === hold.name ? (fold.rows.get(of, [id, 'account', saga]) ?? fold.rows.get(of, [id, 'stock', saga])) : undefined);
      };
      return { ...fold, rows: { get } };
    },
  },
  heldOnce: {
    given: (fold) => (fold.type.endsWith('.hold') ? withRow(fold, hold, (row) => (row.state === 'held' ? undefined : row)) : fold),
  },
  settledOnce: {
    given: (fold) => (fold.type.endsWith('.confirm') ? withRow(fold, hold, (row: HoldRow): HoldRow => (row.state === 'confirmed' ? { ...row, state: 'held' } : row)) : fold),
  },
  replyCountsOnce: {
    given(fold) {
      const saga = sagaOfReply(fold);
      if (!saga || saga.waiting.includes(indexOf(saga, fold.data))) return fold;
      const { kind, id } = must(saga.parts[saga.waiting[0] ?? 0], 'an open saga waits');
      return { ...fold, data: { ...fold.data, kind, id } };
    },
  },
  replyCountsForItsPhase: {
    given(fold) {
      const saga = fold.type === 'saga.reply' && fold.data.done === true ? sagaBefore(fold) : undefined;
      return saga?.state === 'undoing' ? { ...fold, data: { ...fold.data, phase: 'release' } } : fold;
    },
  },
  confirmAfterAllHold: {
    given(fold) {
      const saga = sagaOfReply(fold);
      return saga?.state === 'reserving' ? withSaga(fold, (before) => ({ ...before, waiting: [indexOf(saga, fold.data)] })) : fold;
    },
  },
  retryIsAnotherAttempt: {
    decided: (decision, { type }) => (type === 'saga.retry' ? sending(decision, (message) => firstAttempt({ ...message, data: { ...(message.data as FoldData), attempt: 0 } })) : decision),
  },
  replyOfItsAttempt: {
    decided: (decision, { stream }) => (stream === 'writes' ? sending(decision, firstAttempt) : decision),
  },
  releaseToUnanswered: {
    decided: (decision, fold) => undoingWithout(decision, fold, (before) => before.waiting),
  },
  refusedIsReleasedAfterRetry: {
    decided: (decision, fold) => (fold.data.done === false ? undoingWithout(decision, fold, (before) => [indexOf(before, fold.data)]) : decision),
  },
  endsWhenAllAnswered: {
    decided: (decision) =>
      changedSaga(decision, (saga) => {
        if (saga.state !== 'undoing') return saga;
        const { waiting: _, ends, ...rest } = saga;
        return { ...rest, state: ends, history: [...saga.history, { state: ends, at_ms: must(saga.history.at(-1), 'it began').at_ms }] };
      }),
  },
  timeoutBeforePivot: {
    given: (fold) => (fold.type === 'saga.timeout' ? backBeforePivot(fold, fold.data.due_ms ?? 0) : fold),
  },
  timeoutWhenDue: {
    given: (fold) => (fold.type === 'saga.timeout' ? { ...fold, at: { ...fold.at, atMs: Math.max(fold.at.atMs, fold.data.due_ms ?? 0) } } : fold),
  },
  cancelBeforePivot: {
    given: (fold) => (fold.type === 'saga.cancel' ? backBeforePivot(fold, 0) : fold),
  },
  returnOfConfirmed: {
    given: (fold) => (fold.type === 'return.start' ? withRow(fold, sagaTable, (row: SagaRow): SagaRow => (row.saga === 'order' ? { ...row, state: 'confirmed', due_ms: null } : row)) : fold),
  },
  claimTaken: {
    decided: (decision, { type }) => (type === 'return.start' && decision.outcome === 'applied' ? { ...decision, changes: decision.changes.slice(0, 1) } : decision),
  },
  claimGivenBack: {
    decided: (decision, { type }) => (type.startsWith('saga.') && decision.outcome === 'applied' ? { ...decision, changes: decision.changes.slice(0, 1) } : decision),
  },
};

function kindOf({ type }: Fold): ParticipantKind {
  return type.startsWith('account.') ? 'account' : 'stock';
}

function holdOf(fold: Fold): HoldRow | undefined {
  return fold.rows.get(hold, [fold.at.key, kindOf(fold), fold.data.saga ?? '']);
}

function isReleaseBeforeHold(fold: Fold): boolean {
  return fold.type.endsWith('.release') && holdOf(fold) === undefined;
}

function sagaBefore({ rows, at, data }: Fold): Saga | undefined {
  const row = rows.get(sagaTable, [at.key, data.saga ?? '']);
  return row && sagaOf(row);
}

/** The saga that a reply answers: it is open, and asks for that phase. */
function sagaOfReply(fold: Fold): OpenSaga | undefined {
  if (fold.type !== 'saga.reply' || fold.data.done !== true) return undefined;
  const saga = sagaBefore(fold);
  return saga && isOpen(saga) && PHASES[saga.state] === fold.data.phase ? saga : undefined;
}

function indexOf({ parts }: Saga, { kind, id }: FoldData): number {
  return parts.findIndex((part) => part.kind === kind && part.id === id);
}

/** The fold sees another row of a table. */
function withRow<R>(fold: Fold, table: Table<R>, other: (row: R) => R | undefined): Fold {
  const { rows } = fold;
  const get = <T>(of: Table<T>, key: readonly string[]): T | undefined => {
    const row = rows.get(of, key);
    return row !== undefined && of.name === table.name ? (other(row as unknown as R) as unknown as T) : row;
  };
  return { ...fold, rows: { get } };
}

function withSaga(fold: Fold, other: (saga: Saga) => object): Fold {
  const ref = { key: fold.at.key, saga: fold.data.saga ?? '' };
  return withRow(fold, sagaTable, (row: SagaRow) => (row.saga === ref.saga ? rowOf(ref, other(sagaOf(row)) as Saga) : row));
}

function backBeforePivot(fold: Fold, dueMs: number): Fold {
  return withSaga(fold, (saga) => (saga.state === 'confirming' ? { ...saga, state: 'reserving', dueMs } : saga));
}

function lent(rows: Rows): Rows {
  const fold = withRow({ rows } as Fold, account, (row: AccountRow) => ({ ...row, balance: row.balance + LENT }));
  return withRow(fold, stock, (row: StockRow) => ({ ...row, on_hand: row.on_hand + LENT })).rows;
}

function takeBack(change: Change): Change {
  const { table, row } = change;
  if (table.name === account.name) return { table, row: { ...row, balance: (row as AccountRow).balance - LENT } };
  // Of a sku that never came in nothing was lent.
  if (table.name === stock.name) return { table, row: { ...row, on_hand: (row as StockRow).on_hand - LENT } };
  return change;
}

function changed(decision: Decision, other: (change: Change) => Change): Decision {
  return decision.outcome === 'applied' ? { ...decision, changes: decision.changes.map(other) } : decision;
}

function changedSaga(decision: Decision, other: (saga: Saga) => Saga): Decision {
  return changed(decision, (change) => {
    if (change.table.name !== sagaTable.name) return change;
    const row = change.row as SagaRow;
    return { table: change.table, row: rowOf({ key: row.key as At['key'], saga: row.saga }, other(sagaOf(row))) };
  });
}

function firstAttempt(message: Message): Message {
  return { ...message, idempotencyKey: message.idempotencyKey.replace(/#\d+$/, '') };
}

function sending(decision: Decision, other: (message: Message) => Message | undefined): Decision {
  return { ...decision, messages: (decision.messages ?? []).flatMap((message) => other(message) ?? []) };
}

/** A saga that begins to undo forgets some of its parts. */
function undoingWithout(decision: Decision, fold: Fold, forgotten: (before: OpenSaga) => readonly number[]): Decision {
  const before = sagaBefore(fold);
  if (before?.state !== 'reserving' || decision.outcome !== 'applied' || !fold.type.startsWith('saga.')) return decision;
  const without = forgotten(before);
  const names = new Set(without.map((index) => before.parts[index]).map((part) => part && `${part.kind}.release ${part.id}`));
  let isUndoing = false;
  const after = changedSaga(decision, (saga) => {
    if (saga.state !== 'undoing') return saga;
    const waiting = saga.waiting.filter((index) => !without.includes(index));
    if (waiting.length === 0) return saga;
    isUndoing = true;
    return { ...saga, waiting };
  });
  if (!isUndoing) return decision;
  return sending(after, (message) => {
    const { account: accountId, sku } = message.data as FoldData;
    return names.has(`${message.type} ${accountId ?? sku}`) ? undefined : message;
  });
}

/** Nothing is broken. */
export const WHOLE: Breakage = {};
