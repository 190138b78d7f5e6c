/** Announces topologies on the compacted topic. Its readers keep the highest epoch, so publishing again is harmless. */
import { createLanes, type KafkaClient } from '@millrace/kafka';
import type { Topology } from '@millrace/ring';
import { retry, type Log } from '@millrace/runtime';
import { encodeTopology, TOPOLOGY_KEY } from '@millrace/wire';
import { ESTABLISH_RETRY, TOPOLOGY_LANE } from './limits.ts';

interface PublishInput {
  readonly kafka: KafkaClient;
  readonly topic: string;
  readonly log: Log;
}

/** @throws ProduceUnknown where Kafka does not answer: publish again. */
export async function publishTopology({ kafka, topic, topology, log }: PublishInput & { readonly topology: Topology }): Promise<void> {
  const lanes = await createLanes({ kafka, topic, log, limits: TOPOLOGY_LANE });
  try {
    await lanes.send({ slot: 0, key: TOPOLOGY_KEY, value: encodeTopology(topology) });
    log.info({ epoch: topology.epoch, topic }, 'topology published');
  } finally {
    await lanes.close();
  }
}

export interface Announcer {
  /** Publishes it, or a newer one that comes meanwhile, as soon as Kafka takes it. Nobody waits: the control database has it already. */
  announce(topology: Topology): void;
  stop(): Promise<void>;
}

export function createAnnouncer({ kafka, topic, log }: PublishInput): Announcer {
  const stopping = new AbortController();
  let next: Topology | undefined;
  let work: Promise<void> | undefined;

  async function publishAll(): Promise<void> {
    while (next !== undefined && !stopping.signal.aborted) {
      await retry(publishNext, {
        ...ESTABLISH_RETRY,
        signal: stopping.signal,
        retryable: () => true,
        onRetry: ({ error }) => log.warn({ epoch: next?.epoch, reason: String(error) }, 'the topology was not published; trying again'),
      }).catch(() => undefined); // it stops
    }
    work = undefined;
  }

  async function publishNext(): Promise<void> {
    const topology = next;
    if (topology === undefined) return;
    await publishTopology({ kafka, topic, topology, log });
    if (next === topology) next = undefined;
  }

  return {
    announce(topology) {
      if (next !== undefined && next.epoch > topology.epoch) return;
      next = topology;
      work ??= publishAll();
    },
    async stop() {
      stopping.abort();
      await work;
    },
  };
}
