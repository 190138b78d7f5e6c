/** Announces a topology on the compacted topic. Its readers keep the highest epoch, so publishing again is harmless. */
import { createLanes, type KafkaClient } from '@millrace/kafka';
import type { Topology } from '@millrace/ring';
import type { Log } from '@millrace/runtime';
import { encodeTopology, TOPOLOGY_KEY } from '@millrace/wire';
import { TOPOLOGY_LANE } from './limits.ts';

/** @throws ProduceUnknown where Kafka does not answer: publish again. */
export async function publishTopology({ kafka, topic, topology, log }: { kafka: KafkaClient; topic: string; topology: Topology; log: Log }): Promise<void> {
  const lanes = await createLanes({ kafka, topic, log, limits: TOPOLOGY_LANE });
  try {
    await lanes.send({ slot: 0, key: TOPOLOGY_KEY, value: encodeTopology(topology) });
    log.info({ epoch: topology.epoch, topic }, 'topology published');
  } finally {
    await lanes.close();
  }
}
