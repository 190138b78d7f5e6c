/**
 * An event of the topic `outcomes`: what became of one write.
 *
 * Key: the routing key; partition: the slot. A relay that was paused, or that follows one that died, may publish old
 * events again, so a receiver keeps, per (stream, slot), the place of the last event that it took and drops what is not
 * newer (`isNewer`).
 *
 * The place of an event is `detail.released_by ?? offset`. What an operator's release let go was applied where the release
 * stands, and its own offset is older: by that, a receiver would drop it. Events of one place come in the order of their
 * offsets, the release last.
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

/** Where an event stands among those of its stream and slot. */
export interface Place {
  /** The offset at which it took effect. */
  readonly at: bigint;
  /** That of its record. */
  readonly offset: bigint;
}

export function placeOf({ offset, detail }: Pick<OutcomeEvent, 'offset' | 'detail'>): Place {
  const own = BigInt(offset);
  const by = typeof detail === 'object' && detail !== null && 'released_by' in detail ? detail.released_by : undefined;
  return { at: typeof by === 'string' ? BigInt(by) : own, offset: own };
}

/** True where a receiver that has come to `last` has not taken the event. */
export function isNewer(event: Pick<OutcomeEvent, 'offset' | 'detail'>, last: Place | undefined): boolean {
  if (last === undefined) return true;
  const { at, offset } = placeOf(event);
  return at === last.at ? offset > last.offset : at > last.at;
}

/** On the relay's hot path: the event holds no bigint, so it needs no replacer. */
export function encodeOutcome(event: OutcomeEvent): string {
  return JSON.stringify(event);
}

/** @throws ZodError or SyntaxError for what is not an outcome event. */
export function parseOutcome(value: Buffer): OutcomeEvent {
  return outcomeEventSchema.parse(parseJson(value));
}
