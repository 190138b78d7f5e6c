/** Sagas as the admin API shows them. */
import { sagaId } from '@millrace/domain';
import { isOpen, nameOfPart, PHASES, type Part } from '@millrace/saga';
import type { RoutingKey } from '@millrace/write';
import type { z } from 'zod';
import type { SagaList, SagaView } from '../sagas/find.ts';
import type { Obstacles } from '../sagas/obstacles.ts';
import { isOpenState, type SagaSummary } from '../sagas/summary.ts';
import { kindOf } from '../transition.ts';
import type { sagaAnswer, sagasAnswer } from './schemas.ts';

type SagaJson = z.infer<typeof sagaAnswer>;
type SummaryJson = z.infer<typeof sagasAnswer>['sagas'][number];

export function listJson({ sagas, more, obstacles, silent }: SagaList, nowMs: number): z.infer<typeof sagasAnswer> {
  const last = sagas.at(-1);
  return {
    sagas: sagas.map((found) => summaryJson(found, obstacles, nowMs)),
    ...(more && last ? { next: `${last.row.started_ms} ${idOf(last)}` } : {}),
    silent_shards: [...silent].map(([shard, reason]) => ({ shard, reason })),
  };
}

export function sagaJson({ obstacles, ...found }: SagaView, nowMs: number): SagaJson {
  const { saga } = found;
  return {
    ...summaryJson(found, obstacles, nowMs),
    parts: saga.parts.map((part, index) => ({ participant: nameOfPart(part), ...termsOf(part), ...(isOpen(saga) ? { answered: !saga.waiting.includes(index) } : {}) })),
    history: saga.history.map(({ state, at_ms: atMs }) => ({ state, at: isoOf(atMs) })),
  };
}

function summaryJson(found: SagaSummary, obstacles: Obstacles, nowMs: number): SummaryJson {
  const { row, shard, attempt, cause, waiting, waitsFor } = found;
  const startedMs = Number(row.started_ms);
  const more = waiting - waitsFor.length;
  const because = isOpenState(row.state) ? obstacles.ofSaga(row.key) : undefined;
  return {
    id: idOf(found),
    kind: kindOf(row.saga),
    state: row.state,
    started_at: isoOf(startedMs),
    changed_at: isoOf(Number(row.changed_ms)),
    ...(isOpenState(row.state) ? { age_seconds: Math.max(0, Math.round((nowMs - startedMs) / 1000)) } : {}),
    ...(row.due_ms === null ? {} : { due_at: isoOf(Number(row.due_ms)) }),
    attempt,
    ...(cause === undefined ? {} : { reason: cause.code, ...(cause.detail === undefined ? {} : { detail: { ...cause.detail } }) }),
    slot: row.slot,
    shard,
    waits_for: waitsForJson(found, obstacles),
    ...(more > 0 ? { waits_for_more: more } : {}),
    ...(because === undefined ? {} : { because: { ...because } }),
  };
}

/** Those first that something is known of. */
function waitsForJson({ row: { key, state }, waitsFor }: SagaSummary, obstacles: Obstacles): SummaryJson['waits_for'] {
  if (!isOpenState(state)) return [];
  const all = waitsFor.map((part) => {
    const { shard, obstacle } = obstacles.ofPart(key, part);
    return { participant: nameOfPart(part), step: PHASES[state], ...(shard === undefined ? {} : { shard }), ...(obstacle === undefined ? {} : { because: { ...obstacle } }) };
  });
  return all.sort((a, b) => Number('because' in b) - Number('because' in a));
}

function termsOf(part: Part) {
  const { direction } = part;
  return part.kind === 'account' ? { direction, amount: part.amount, currency: part.currency } : { direction, quantity: part.quantity };
}

function idOf({ row }: SagaSummary): string {
  return sagaId({ key: row.key as RoutingKey, saga: row.saga });
}

function isoOf(ms: number): string {
  return new Date(ms).toISOString();
}
