/** What the admin API takes and answers. Ids of plans and moves are decimal strings. */
import { SHARD_ID_PATTERN, SLOTS_MAX, type ShardId, type Slot } from '@millrace/write';
import { z } from 'zod';

const ID_PATTERN = /^[1-9]\d{0,17}$/;
const LIST_MAX = 5_000;
const PLANS_LIST_MAX = 500;

const shardId = z.string().regex(SHARD_ID_PATTERN, 'expected a shard id: a-z, 0-9 and -, at most 32').transform((id) => id as ShardId);
const id = z.string().regex(ID_PATTERN, 'expected a decimal id').transform(BigInt);
const weight = z.number().gt(0).max(1000).describe('Its share of the slots against the other shards.');
const by = z.enum(['slots', 'bytes', 'rate']).describe('What is evened out: slots, bytes of their rows, or records written to them in a second.');
const wishedState = z.enum(['active', 'draining']).describe('`draining`: no slot is to stay.');

const wholeNumber = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,15}$/, 'expected a whole number')
    .transform(Number)
    .refine((value) => value >= min && value <= max, `expected ${min} to ${max}`);
const limit = (preset: number, max = LIST_MAX) => wholeNumber(1, max).optional().transform((value) => value ?? preset);

export const shardParameter = z.strictObject({ shard: shardId });
export const idParameter = z.strictObject({ id });
export const epochQuery = z.strictObject({ epoch: wholeNumber(1, 999_999_999_999_999).optional() });
export const limitQuery = z.strictObject({ limit: limit(100) });
export const plansQuery = z.strictObject({ limit: limit(100, PLANS_LIST_MAX) });
export const movesQuery = z.strictObject({
  plan: id.optional(),
  open: z
    .enum(['true', 'false'])
    .optional()
    .transform((value) => (value === undefined ? undefined : value === 'true')),
  limit: limit(1_000),
});

export const noBody = z.strictObject({});
export const newShardBody = z.strictObject({ shard: shardId, weight: weight.optional() });
export const changeShardBody = z.strictObject({ weight: weight.optional(), state: wishedState.optional() }).refine((body) => body.weight !== undefined || body.state !== undefined, 'expected a weight or a state');
export const drainBody = z.strictObject({ by: by.default('slots') });
const change = z.strictObject({ shard: shardId, weight: weight.optional(), state: wishedState.optional() });
export const newPlanBody = z
  .strictObject({
    by: by.default('slots'),
    changes: z.array(change).max(SLOTS_MAX).default([]).describe('What if the members were so; applied to them when the plan is started.'),
    reverse_of: id.optional().describe('An ended plan that is to be undone.'),
  })
  .refine((body) => body.reverse_of === undefined || body.changes.length === 0, { path: ['changes'], message: 'a reversal has the changes of its plan' });
export const newMoveBody = z.strictObject({
  slot: z.int().min(0).max(SLOTS_MAX - 1).transform((slot) => slot as Slot),
  target: shardId,
});

const at = z.string().meta({ format: 'date-time' });
const text = z.string();
const count = z.int().min(0);
const decimalId = z.string().regex(ID_PATTERN);

const epochFacts = { created_at: at.optional(), created_by: text.optional(), reason: text.optional() };
export const topologyAnswer = z.object({
  epoch: z.int().positive().describe('Rises by one with every change.'),
  slots: count.describe('S, fixed for the life of the cluster.'),
  owners: z.array(text).describe('The shard that owns slot i stands at index i.'),
  ...epochFacts,
});
export const historyAnswer = z.object({ epochs: z.array(z.object({ epoch: z.int().positive(), ...epochFacts })) });
export const leaderAnswer = z.object({
  holder: text.optional().describe('The instance that leads; none is named while no lease holds.'),
  token: decimalId.optional().describe('Rises with every leader.'),
  expires_at: at.optional(),
});
export const auditAnswer = z.object({
  entries: z.array(z.object({ id: decimalId, at, actor: text, action: text, subject: text, detail: z.record(text, z.unknown()).optional() })),
});

export const shardAnswer = z.object({
  shard: text,
  state: z.enum(['joining', 'active', 'draining']),
  weight: z.number(),
  slots: count.describe('That it owns by the newest topology.'),
  created_at: at,
  changed_at: at,
});
export const shardsAnswer = z.object({ shards: z.array(shardAnswer) });

const planFacts = {
  id: decimalId,
  state: z.enum(['preview', 'running', 'paused', 'done', 'aborting', 'aborted']),
  by,
  base_epoch: z.int().positive().describe('The topology that it was made for. The start refuses where members, or the owners that open moves lead to, are others since.'),
  reverse_of: decimalId.optional(),
  changes: z.array(z.object({ shard: text, weight: z.number().optional(), state: text.optional() })),
  load: z.array(z.object({ shard: text, weight: z.number(), before: z.number(), after: z.number() })).describe('By what `by` says.'),
  balance: z.number().describe('Largest load over its share, after the plan, of the shards that keep slots; 1 is even.'),
  bound: z.number().describe('The best balance that whole slots may allow: no plan has a lower one.'),
  note: text.optional().describe('What the plan was computed without.'),
  estimate: z.object({ seconds: count, stall_ms: count.describe('Of one slot.'), rows: count, bytes: count }),
  progress: z.object({ moves: count, done: count, aborted: count, rows: count, bytes: count }),
  created_at: at,
  started_at: at.optional(),
  ended_at: at.optional(),
};
export const planAnswer = z.object({ ...planFacts, moves: z.array(z.object({ slot: count, source: text, target: text, rows: count, bytes: count })) });
export const plansAnswer = z.object({ plans: z.array(z.object(planFacts)).describe('Without their moves.') });

export const moveAnswer = z.object({
  id: decimalId,
  plan: decimalId.optional(),
  slot: count,
  source: text,
  target: text,
  state: z.enum(['planned', 'running', 'aborting', 'done', 'aborted']),
  phase: text.describe('What the mover does now.'),
  paused: z.boolean().describe('By itself or with its plan.'),
  error: text.optional().describe('Why it waits, or was turned back.'),
  progress: z.looseObject({ rows: count, bytes: count, rounds: count, stall_ms: z.number().optional() }),
  created_at: at,
  started_at: at.optional(),
  ended_at: at.optional(),
});
export const movesAnswer = z.object({ moves: z.array(moveAnswer) });
export const verifyAnswer = z.object({
  verified: z.boolean(),
  tables: z.array(z.object({ table: text, rows: count, differences: z.array(z.object({ key: z.array(text), on: z.enum(['source', 'target', 'both']) })) })),
  note: text.optional().describe('What could not be compared, and why.'),
});
