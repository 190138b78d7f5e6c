/**
 * An event of the topic `outcomes`: what became of one write.
 *
 * Key: the routing key; partition: the slot. A relay that was paused may publish old events again, so a receiver
 * keeps, per (stream, slot), the highest offset it has seen and drops what is not newer.
 */
import { z } from 'zod';
import { parseJson } from './json.ts';

export const outcomeEventSchema = z.object({
  stream: z.enum(['writes', 'sagas']),
  slot: z.int().nonnegative(),
  offset: z.string().regex(/^\d{1,19}$/).describe('Decimal, because offsets pass 2^53.'),
  key: z.string(),
  type: z.string(),
  outcome: z.enum(['applied', 'refused']),
  detail: z.unknown().optional().describe('For a refusal: `code` and facts.'),
  at: z.iso.datetime().describe("Kafka's log-append time of the write."),
});

export type OutcomeEvent = z.infer<typeof outcomeEventSchema>;

/** On the relay's hot path: the event holds no bigint, so it needs no replacer. */
export function encodeOutcome(event: OutcomeEvent): string {
  return JSON.stringify(event);
}

/** @throws ZodError or SyntaxError for what is not an outcome event. */
export function parseOutcome(value: Buffer): OutcomeEvent {
  return outcomeEventSchema.parse(parseJson(value));
}
