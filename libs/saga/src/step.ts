/**
 * The step of a saga: what an event makes of it, and what it asks of its participants then. Pure.
 *
 * S1 every message moves a saga at most once: a reply counts where its part still waits in this state, and nowhere else.
 * S3 a reply that comes after the timeout is an event like any other: it finds its part asked to release already. A timeout
 *    counts when it is time by the log: whoever fires it by a clock that is ahead ends nothing early.
 * S4 the last hold is the pivot: before it nothing is confirmed, after it nothing is released.
 * S5 who is open waits for somebody who answers always, or has a deadline: so every saga ends.
 */
import type { ParticipantKind, Phase, Refusal } from '@millrace/domain';
import { assert } from '@millrace/write';
import { isOpen, nameOfPart, type OpenSaga, type Part, type Reserving, type Saga, type Undoing } from './saga.ts';

export type SagaEvent =
  | ({ readonly type: 'reply'; readonly kind: ParticipantKind; readonly id: string; readonly phase: Phase } & ReplyAnswer)
  | { readonly type: 'timeout'; readonly dueMs: number }
  | { readonly type: 'cancel'; readonly by: 'client' | 'operator' }
  | { readonly type: 'retry' };
type ReplyAnswer = { readonly done: true } | ({ readonly done: false } & Refusal);

/** A command to the participant of a part. */
export interface Order {
  readonly part: Part;
  readonly phase: Phase;
}

export type Step =
  | { readonly is: 'moved'; readonly next: Saga; readonly send: readonly Order[] }
  /** Nothing changes: it has changed already, or it is not time yet. */
  | { readonly is: 'late' }
  | { readonly is: 'refused'; readonly code: Refusal['code'] };

const LATE: Step = { is: 'late' };
/** Participants that a missed deadline names. */
const NAMED_MAX = 5;

/** What a saga asks for in each of its open states. */
export const PHASES = { reserving: 'hold', confirming: 'confirm', undoing: 'release' } as const satisfies Record<OpenSaga['state'], Phase>;

export interface Beginning {
  readonly kind: Saga['kind'];
  readonly parts: readonly Part[];
  readonly dueMs: number;
  readonly claim?: Reserving['claim'];
}

/** A new saga asks all its participants at once. */
export function begin({ kind, parts, dueMs, claim }: Beginning, atMs: number): { readonly next: Reserving; readonly send: readonly Order[] } {
  const next: Reserving = {
    state: 'reserving',
    kind,
    parts,
    waiting: everyone({ parts }),
    dueMs,
    attempt: 0,
    history: [{ state: 'reserving', at_ms: atMs }],
    ...(claim === undefined ? {} : { claim }),
  };
  return { next, send: ordersTo(next) };
}

export function step(saga: Saga, event: SagaEvent, atMs: number): Step {
  switch (event.type) {
    case 'reply':
      return onReply(saga, event, atMs);
    case 'timeout':
      return onTimeout(saga, event.dueMs, atMs);
    case 'cancel':
      return onCancel(saga, event.by, atMs);
    case 'retry':
      return onRetry(saga);
  }
}

function onReply(saga: Saga, reply: SagaEvent & { readonly type: 'reply' }, atMs: number): Step {
  // S1, S3
  if (!isOpen(saga) || reply.phase !== PHASES[saga.state]) return LATE;
  const index = saga.parts.findIndex(({ kind, id }) => kind === reply.kind && id === reply.id);
  const waiting = saga.waiting.filter((i) => i !== index);
  if (waiting.length === saga.waiting.length) return LATE;
  if (!reply.done) {
    const { code, detail } = reply;
    // Only a hold can be refused. A saga in any other state goes on as it must.
    if (saga.state !== 'reserving') return LATE;
    // A hold that was sent again may still be made by a participant that has refused the first.
    const asked = everyone(saga).filter((i) => i !== index || saga.attempt > 0);
    return undo(saga, { waiting: asked, ends: 'rejected', cause: detail === undefined ? { code } : { code, detail } }, atMs);
  }
  if (waiting.length > 0) return { is: 'moved', next: { ...saga, waiting }, send: [] };
  return allAnswered(saga, atMs);
}

/** The pivot, and the ends. */
function allAnswered(saga: OpenSaga, atMs: number): Step {
  switch (saga.state) {
    case 'reserving': {
      const next = { ...into(saga, 'confirming', atMs), waiting: everyone(saga) };
      return { is: 'moved', next, send: ordersTo(next) };
    }
    case 'confirming':
      return { is: 'moved', next: into(saga, 'confirmed', atMs), send: [] };
    case 'undoing':
      return { is: 'moved', next: { ...into(saga, saga.ends, atMs), cause: saga.cause }, send: [] };
  }
}

/** `waiting`: who holds, or may hold. */
function undo(saga: Reserving, how: Pick<Undoing, 'waiting' | 'ends' | 'cause'>, atMs: number): Step {
  const next: Undoing = { ...into(saga, 'undoing', atMs), ...how };
  return how.waiting.length === 0 ? allAnswered(next, atMs) : { is: 'moved', next, send: ordersTo(next) };
}

/** What a saga keeps in whatever state, with the state that it comes to. */
function into<S extends Saga['state']>({ kind, parts, attempt, history, claim }: OpenSaga, state: S, atMs: number) {
  return { state, kind, parts, attempt, history: [...history, { state, at_ms: atMs }], ...(claim === undefined ? {} : { claim }) };
}

function everyone({ parts }: Pick<Saga, 'parts'>): readonly number[] {
  return parts.map((_, index) => index);
}

function onTimeout(saga: Saga, dueMs: number, atMs: number): Step {
  // S3: behind the last reply it comes too late; before its time, by the log, too early.
  if (saga.state !== 'reserving' || saga.dueMs !== dueMs || atMs < dueMs) return LATE;
  const open = partsOf(saga).map(nameOfPart);
  const named = open.slice(0, NAMED_MAX).join(', ') + (open.length > NAMED_MAX ? ` and ${open.length - NAMED_MAX} more` : '');
  const cause: Refusal = { code: 'deadline_passed', detail: { waited_for: named } };
  return undo(saga, { waiting: everyone(saga), ends: 'rejected', cause }, atMs);
}

function onCancel(saga: Saga, by: 'client' | 'operator', atMs: number): Step {
  switch (saga.state) {
    case 'reserving':
      return undo(saga, { waiting: everyone(saga), ends: 'cancelled', cause: { code: by === 'client' ? 'cancelled_by_client' : 'cancelled_by_operator' } }, atMs);
    case 'undoing':
      return { is: 'refused', code: saga.ends === 'cancelled' ? 'already_cancelled' : 'already_rejected' };
    case 'confirming':
    case 'confirmed':
      return { is: 'refused', code: 'too_late' };
    case 'rejected':
      return { is: 'refused', code: 'already_rejected' };
    case 'cancelled':
      return { is: 'refused', code: 'already_cancelled' };
  }
}

/** An operator has what is open sent again, as another attempt: participants answer by what they have done. */
function onRetry(saga: Saga): Step {
  if (!isOpen(saga)) return { is: 'refused', code: 'already_ended' };
  const next = { ...saga, attempt: saga.attempt + 1 };
  return { is: 'moved', next, send: ordersTo(next) };
}

/** The parts that have not answered. */
export function partsOf({ parts, waiting }: OpenSaga): readonly Part[] {
  const open = new Set(waiting);
  return parts.filter((_, index) => open.has(index));
}

function ordersTo(saga: OpenSaga): readonly Order[] {
  assert(saga.waiting.length > 0, 'S5: who is open waits for somebody');
  return partsOf(saga).map((part) => ({ part, phase: PHASES[saga.state] }));
}
