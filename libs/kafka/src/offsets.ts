/** How far a topic reaches. */
import { retry } from '@millrace/runtime';
import type { Slot } from '@millrace/write';
import kafkajs from 'kafkajs';
import { withAdmin } from './admin.ts';
import { KafkaUnavailable } from './errors.ts';
import { RETRY_BASE_MS, RETRY_MAX_MS } from './limits.ts';
import type { KafkaClient, SlotOffsets } from './types.ts';

/** A topic that was just made, or whose leader has just moved, answers after a few. */
const ATTEMPTS_MAX = 20;

/**
 * The oldest and the next offset of every slot, by slot. One connection per call: for a look every second, not more.
 * @throws the signal's reason; KafkaUnavailable where the leaders do not answer; what kafkajs throws at once otherwise.
 */
export async function topicOffsets(options: {
  readonly kafka: KafkaClient;
  readonly topic: string;
  readonly signal?: AbortSignal;
}): Promise<readonly SlotOffsets[]> {
  const { kafka, topic, signal = new AbortController().signal } = options;
  const offsets = await retry(() => withAdmin(kafka, (admin) => admin.fetchTopicOffsets(topic)), {
    baseMs: RETRY_BASE_MS,
    maxMs: RETRY_MAX_MS,
    attemptsMax: ATTEMPTS_MAX,
    signal,
    retryable: isRetriable,
  }).catch((error: unknown) => {
    throw isRetriable(error) ? new KafkaUnavailable(`the leaders of ${topic} do not answer`, { cause: error }) : error;
  });
  return offsets
    .map(({ partition, low, high }) => ({ slot: partition as Slot, low: BigInt(low), high: BigInt(high) }))
    .sort((a, b) => a.slot - b.slot);
}

/** kafkajs's admin does not try again after NOT_LEADER_OR_FOLLOWER, though the error says that it may. */
function isRetriable(error: unknown): boolean {
  return error instanceof kafkajs.KafkaJSError && error.retriable;
}
