/** Start-up: nobody begins before the brokers answer, or joins a group before its coordinator has loaded. */
import { retry, type Log } from '@millrace/runtime';
import { withAdmin } from './admin.ts';
import type { KafkaClient } from './types.ts';

const PROBE_GROUP = 'millrace-probe';
const BACKOFF = { baseMs: 100, maxMs: 2_000 } as const;

/** Resolves when the brokers and a group coordinator answer. Rejects only with the signal's reason. */
export async function waitForKafka(options: {
  readonly kafka: KafkaClient;
  readonly signal: AbortSignal;
  readonly log: Log;
  /** The group that is about to be joined: its own coordinator is asked. Any coordinator without it. */
  readonly groupId?: string;
}): Promise<void> {
  const { kafka, signal, log, groupId = PROBE_GROUP } = options;
  await retry(() => probe(kafka, groupId), {
    ...BACKOFF,
    signal,
    retryable: () => true,
    onRetry: ({ error }) => {
      log.info({ error, brokers: kafka.brokers }, 'Kafka does not answer yet');
    },
  });
}

async function probe(kafka: KafkaClient, groupId: string): Promise<void> {
  await withAdmin(
    kafka,
    async (admin) => {
      await admin.describeGroups([groupId]); // throws COORDINATOR_LOAD_IN_PROGRESS and the like
    },
    { retries: 1, requestTimeoutMs: 5_000 },
  );
}
