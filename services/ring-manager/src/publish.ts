/** Announces topologies on the compacted topic. Its readers keep the highest epoch, so publishing again is harmless. */
import { createLanes, type KafkaClient } from '@millrace/kafka';
import type { Topology } from '@millrace/ring';
import { backoffMs, sleep, type Log } from '@millrace/runtime';
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
    for (let failures = 0; next !== undefined && !stopping.signal.aborted; ) {
      const topology = next;
      try {
        await publishTopology({ kafka, topic, topology, log });
        failures = 0;
        if (next === topology) next = undefined;
      } catch (error) {
        failures += 1;
        log.warn({ epoch: topology.epoch, reason: String(error) }, 'the topology was not published; trying again');
        await sleep(ESTABLISH_RETRY.baseMs + backoffMs(failures, ESTABLISH_RETRY), stopping.signal).catch(() => undefined);
      }
    }
    work = undefined;
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
