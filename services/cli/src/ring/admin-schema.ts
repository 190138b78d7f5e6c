/** What the admin API answers, as far as the commands look at it. */
import { z } from 'zod';

/** Ids of plans and moves are decimal strings. */
const id = z.string().regex(/^\d{1,19}$/);
/** Counts of rows and bytes come as numbers, or as text where they are sums of bigints. */
const amount = z.union([z.number(), z.string().regex(/^\d+(\.\d+)?$/).transform(Number)]);
const at = z.string();
const optional = <T extends z.ZodType>(schema: T) => schema.nullish().transform((value) => value ?? undefined);

export const topologySchema = z.object({ epoch: z.int(), slots: z.int(), owners: z.array(z.string()) });

export const epochsSchema = z.object({
  epochs: z.array(z.object({ epoch: z.int(), created_at: at, created_by: z.string(), reason: z.string() })),
});

export const shardSchema = z.object({
  shard: z.string(),
  state: z.enum(['joining', 'active', 'draining']),
  weight: z.number(),
  slots: z.int(),
});
export const shardsSchema = z.object({ shards: z.array(shardSchema) });

export const planSchema = z.object({
  id,
  state: z.enum(['preview', 'running', 'paused', 'done', 'aborting', 'aborted']),
  by: z.enum(['slots', 'bytes', 'rate']),
  base_epoch: z.int(),
  reverse_of: optional(id),
  changes: z.array(z.object({ shard: z.string(), weight: optional(z.number()), state: optional(z.string()) })),
  moves: z.array(z.object({ slot: z.int(), source: z.string(), target: z.string(), rows: amount, bytes: amount })),
  load: z.array(z.object({ shard: z.string(), weight: z.number(), before: amount, after: amount })),
  balance: z.number(),
  bound: z.number(),
  note: optional(z.string()),
  estimate: z.object({ seconds: amount, stall_ms: amount, rows: amount, bytes: amount }),
  progress: z.object({ moves: amount, done: amount, aborted: amount, rows: amount, bytes: amount }),
  created_at: at,
  started_at: optional(at),
  ended_at: optional(at),
});
/** A list of plans comes without their moves. */
export const planSummarySchema = planSchema.omit({ moves: true });
export const plansSchema = z.object({ plans: z.array(planSummarySchema) });

export const moveSchema = z.object({
  id,
  plan: optional(id),
  slot: z.int(),
  source: z.string(),
  target: z.string(),
  state: z.enum(['planned', 'running', 'aborting', 'done', 'aborted']),
  phase: z.string(),
  paused: z.boolean(),
  error: optional(z.string()),
  progress: z.object({
    rows: optional(amount),
    bytes: optional(amount),
    rounds: optional(amount),
    stall_ms: optional(amount),
    bytes_per_second: optional(amount),
    reason: optional(z.string()),
  }),
  created_at: at,
  started_at: optional(at),
  ended_at: optional(at),
});
export const movesSchema = z.object({ moves: z.array(moveSchema) });

export const verifiedSchema = z.object({
  verified: z.boolean(),
  note: optional(z.string()),
  tables: z.array(
    z.object({
      table: z.string(),
      rows: amount,
      differences: z.array(z.object({ key: z.array(z.string()), on: z.enum(['source', 'target', 'both']) })),
    }),
  ),
});

export const auditSchema = z.object({
  entries: z.array(z.object({ id, at, actor: z.string(), action: z.string(), subject: z.string(), detail: optional(z.unknown()) })),
});

export const leaderSchema = z.object({ holder: optional(z.string()), token: optional(z.union([z.string(), z.number()])), expires_at: optional(at) });

export type LoadBy = 'slots' | 'bytes' | 'rate';
export type Member = z.infer<typeof shardSchema>;
export type Plan = z.infer<typeof planSchema>;
export type PlanSummary = z.infer<typeof planSummarySchema>;
export type Move = z.infer<typeof moveSchema>;
export type Verified = z.infer<typeof verifiedSchema>;
export type TopologyAnswer = z.infer<typeof topologySchema>;
export type Leader = z.infer<typeof leaderSchema>;
export type EpochEntry = z.infer<typeof epochsSchema>['epochs'][number];
export type AuditEntry = z.infer<typeof auditSchema>['entries'][number];

/** Of a plan, or of a move: it is over. */
export function isOver({ state }: { readonly state: Plan['state'] | Move['state'] }): boolean {
  return state === 'done' || state === 'aborted';
}
