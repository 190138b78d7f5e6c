/** Which broker leads which slot of a topic. */
import { KafkaUnavailable } from './errors.ts';
import { withAdmin } from './admin.ts';
import type { BrokerAddress, KafkaClient } from './types.ts';

export interface Leaders {
  /** The node that leads each slot; `NO_LEADER` while there is none. */
  readonly bySlot: readonly number[];
  readonly addresses: ReadonlyMap<number, BrokerAddress>;
}

export const NO_LEADER = -1;
const METADATA_TIMEOUT_MS = 3_000;

/** Asks the brokers. @throws KafkaUnavailable where none answers or the topic is not there. */
export async function fetchLeaders(kafka: KafkaClient, topic: string, retries: number): Promise<Leaders> {
  try {
    return await withAdmin(
      kafka,
      async (admin) => {
        const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
        const { brokers } = await admin.describeCluster();
        const partitions = topics.find(({ name }) => name === topic)?.partitions ?? [];
        if (partitions.length === 0) throw new Error(`topic ${topic} has no partitions`);
        const bySlot = Array.from({ length: partitions.length }, () => NO_LEADER);
        for (const { partitionId, leader } of partitions) bySlot[partitionId] = leader;
        return { bySlot, addresses: new Map(brokers.map(({ nodeId, host, port }) => [nodeId, { host, port }])) };
      },
      { retries, requestTimeoutMs: METADATA_TIMEOUT_MS },
    );
  } catch (cause) {
    throw new KafkaUnavailable(`the leaders of topic ${topic} are not known`, { cause });
  }
}
