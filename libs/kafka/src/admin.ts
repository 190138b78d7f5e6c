/** One kafkajs admin connection per question: the answers are fresh and nothing is left open. */
import type { Admin } from 'kafkajs';
import type { KafkaClient } from './types.ts';

/** Runs the work with a connected admin client, and disconnects it whatever happens. */
export async function withAdmin<T>(
  kafka: KafkaClient,
  work: (admin: Admin) => Promise<T>,
  settings: { readonly retries?: number; readonly requestTimeoutMs?: number } = {},
): Promise<T> {
  const { kafkajs, cut } = kafka.open(settings);
  const admin = kafkajs.admin();
  admin.on(admin.events.REQUEST_TIMEOUT, ({ payload }) => {
    cut(payload.broker);
  });
  try {
    await admin.connect();
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}
