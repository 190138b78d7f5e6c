/** What the admin API of sagas answers, as far as the command reads it: it may gain fields. */
import { z } from 'zod';

const obstacle = z.object({ reason: z.string(), detail: z.string() });
const summary = z.looseObject({
  id: z.string(),
  kind: z.string(),
  state: z.string(),
  started_at: z.string(),
  changed_at: z.string(),
  age_seconds: z.number().optional(),
  due_at: z.string().optional(),
  attempt: z.number(),
  reason: z.string().optional(),
  detail: z.record(z.string(), z.string()).optional(),
  slot: z.number(),
  shard: z.string(),
  waits_for: z.array(z.looseObject({ participant: z.string(), step: z.string(), shard: z.string().optional(), because: obstacle.optional() })),
  waits_for_more: z.number().optional(),
  because: obstacle.optional(),
});

export const sagaSchema = summary.extend({
  parts: z.array(
    z.looseObject({ participant: z.string(), direction: z.string(), amount: z.string().optional(), currency: z.string().optional(), quantity: z.number().optional(), answered: z.boolean().optional() }),
  ),
  history: z.array(z.looseObject({ state: z.string(), at: z.string() })),
});
export const listSchema = z.looseObject({
  sagas: z.array(summary),
  next: z.string().optional(),
  silent_shards: z.array(z.object({ shard: z.string(), reason: z.string() })),
});
export const steeredSchema = z.looseObject({ done: z.boolean(), saga: sagaSchema.optional() });

export type SagaSummary = z.infer<typeof summary>;
export type Saga = z.infer<typeof sagaSchema>;
export type SagaList = z.infer<typeof listSchema>;
export type Steered = z.infer<typeof steeredSchema>;
