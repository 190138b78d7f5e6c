/** Rows of the control database as the admin API answers them. */
import type { AuditEntry } from '../control/change.ts';
import type { MoveRecord } from '../control/moves.sql.ts';
import type { PlanRecord, PlanSummary } from '../control/plans.sql.ts';
import type { ShardView } from '../control/shards.ts';
import type { VerifyReport } from '../move/types.ts';
import type { z } from 'zod';
import type { auditAnswer, moveAnswer, planAnswer, plansAnswer, shardAnswer, verifyAnswer } from './schemas.ts';

export function shardJson({ shard, state, weight, slots, createdAt, changedAt }: ShardView): z.infer<typeof shardAnswer> {
  return { shard, state: state as 'joining' | 'active' | 'draining', weight, slots, created_at: createdAt.toISOString(), changed_at: changedAt.toISOString() };
}

export function planJson(plan: PlanRecord): z.infer<typeof planAnswer> {
  const { moves } = plan.content;
  return { ...planSummaryJson({ ...plan, planned: moves.length }), moves: [...moves] };
}

export function planSummaryJson(plan: PlanSummary): z.infer<typeof plansAnswer>['plans'][number] {
  const { id, state, by, baseEpoch, reverseOf, content, planned, progress } = plan;
  const { changes, load, balance, bound, note, estimate } = content;
  return {
    id: String(id),
    state,
    by,
    base_epoch: Number(baseEpoch),
    ...(reverseOf === null ? {} : { reverse_of: String(reverseOf) }),
    changes: [...changes],
    load: [...load],
    balance,
    bound,
    ...(note === undefined ? {} : { note }),
    estimate,
    progress: state === 'preview' ? { ...progress, moves: planned } : progress,
    ...times(plan),
  };
}

export function moveJson(move: MoveRecord): z.infer<typeof moveAnswer> {
  const { id, plan, slot, source, target, state, phase, paused } = move;
  const { error: waits, ...progress } = move.progress;
  const error = move.error ?? waits ?? undefined;
  return {
    id: String(id),
    ...(plan === null ? {} : { plan: String(plan) }),
    slot,
    source,
    target,
    state,
    phase,
    paused,
    ...(error === undefined ? {} : { error }),
    progress: { rows: 0, bytes: 0, rounds: 0, ...snakeCased(progress) },
    ...times(move),
  };
}

export function verifyJson({ verified, tables, note }: VerifyReport): z.infer<typeof verifyAnswer> {
  return {
    verified,
    tables: tables.map(({ table, rows, differences }) => ({ table, rows: Number(rows), differences: differences.map(({ key, on }) => ({ key: [...key], on })) })),
    ...(note === undefined ? {} : { note }),
  };
}

export function auditJson({ id, at, actor, action, subject, detail }: AuditEntry): z.infer<typeof auditAnswer>['entries'][number] {
  return { id: String(id), at: at.toISOString(), actor, action, subject, ...(detail === null || detail === undefined ? {} : { detail }) };
}

function times({ createdAt, startedAt, endedAt }: { readonly createdAt: Date; readonly startedAt: Date | null; readonly endedAt: Date | null }) {
  return {
    created_at: createdAt.toISOString(),
    ...(startedAt === null ? {} : { started_at: startedAt.toISOString() }),
    ...(endedAt === null ? {} : { ended_at: endedAt.toISOString() }),
  };
}

function snakeCased(value: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), part as unknown]));
}
