/** What the admin API of sagas takes and answers. */
import { parseSagaId, SAGA_STATES } from '@millrace/domain';
import { sagaDefinitions, type SagaKind } from '@millrace/saga';
import { must } from '@millrace/write';
import { z } from 'zod';
import { LIST_MAX } from '../limits.ts';

const KINDS = sagaDefinitions.map(({ kind }) => kind);
const LIST_DEFAULT = 100;
const OLDER_THAN_SECONDS_MAX = 365 * 24 * 60 * 60;

const wholeNumber = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,15}$/, 'expected a whole number')
    .transform(Number)
    .refine((value) => value >= min && value <= max, `expected ${min} to ${max}`);

export const sagaParameter = z.strictObject({
  id: z
    .string()
    .max(240)
    .refine((id) => parseSagaId(id) !== undefined, 'expected the id of a saga: tenant/order/order, tenant/order/return/id, tenant/id/transfer')
    .transform((id) => must(parseSagaId(id), 'the id was looked at'))
    .meta({ description: '`tenant/order/order`, `tenant/order/return/{return}` or `tenant/{transfer}/transfer`; as one segment, percent-encoded, or as it stands.' }),
});

export const sagasQuery = z.strictObject({
  state: z.enum(SAGA_STATES).optional().meta({ description: 'Those that have not ended where absent. Sagas that have ended are found by reading whole tables.' }),
  kind: z.enum(KINDS as [SagaKind, ...SagaKind[]]).optional(),
  older_than: wholeNumber(0, OLDER_THAN_SECONDS_MAX).optional().meta({ description: 'Seconds since the start.' }),
  limit: wholeNumber(1, LIST_MAX)
    .optional()
    .transform((value) => value ?? LIST_DEFAULT),
  after: z
    .string()
    .regex(/^\d{1,15} [!-~]{1,240}$/, 'expected `next` of the list before')
    .transform((text) => {
      const [, startedMs = '', id = ''] = /^(\d+) (.+)$/.exec(text) ?? [];
      return { startedMs: BigInt(startedMs), ref: parseSagaId(id) };
    })
    .refine(({ ref }) => ref !== undefined, 'expected `next` of the list before')
    .optional()
    .meta({ description: '`next` of the list before.' }),
});

export const noBody = z.strictObject({});

const text = z.string();
const at = z.string().meta({ format: 'date-time' });
const obstacle = z.object({ reason: z.enum(['key_parked', 'shard_silent']), detail: text });
const participant = text.describe('`account/{account}` or `stock/{sku}`.');
const waitsFor = z.object({ participant, step: z.enum(['hold', 'confirm', 'release']), shard: text.optional(), because: obstacle.optional().describe('Where it can be told.') });

const sagaFacts = {
  id: text,
  kind: text,
  state: z.enum(SAGA_STATES),
  started_at: at,
  changed_at: at,
  age_seconds: z.number().optional().describe('Of one that has not ended.'),
  due_at: at.optional().describe('When it is undone unless everything is held by then.'),
  attempt: z.int().min(0).describe('How often an operator had it sent again.'),
  reason: text.optional().describe('The code of why it is undone.'),
  detail: z.record(text, text).optional(),
  slot: z.int().min(0),
  shard: text,
  waits_for: z.array(waitsFor),
  waits_for_more: z.int().optional().describe('How many more it waits for.'),
  because: obstacle.optional().describe('Of its own key: replies and timers wait behind it.'),
};
export const sagaAnswer = z.object({
  ...sagaFacts,
  parts: z.array(z.object({ participant, direction: z.enum(['in', 'out']), amount: text.optional(), currency: text.optional(), quantity: z.int().optional(), answered: z.boolean().optional() })),
  history: z.array(z.object({ state: text, at })),
});
export const sagasAnswer = z.object({
  sagas: z.array(z.object(sagaFacts)).describe('The oldest first.'),
  next: text.optional().describe('`after` of the next page; absent on the last one.'),
  silent_shards: z.array(z.object({ shard: text, reason: text })).describe('Shards that do not answer: their sagas are not in the list.'),
});
export const steeredAnswer = z.object({ done: z.boolean(), saga: sagaAnswer.optional().describe('As it is now; absent where its shard does not answer any more.') });
