/** A record of the compacted topic `topology`: the whole table of one epoch. */
import { z } from 'zod';
import { createTopology, type Topology } from '@millrace/ring';
import { SHARD_ID_PATTERN, SLOTS_MAX, type Epoch, type ShardId } from '@millrace/write';
import { parseJson, toJson } from './json.ts';

/** The key of every topology record: compaction keeps the newest. */
export const TOPOLOGY_KEY = 'topology';

export const topologySchema = z.object({
  epoch: z.int().positive().describe('Rises by one with every change.'),
  slots: z.int().min(1).max(SLOTS_MAX).describe('S, fixed for the life of the cluster.'),
  owners: z.array(z.string().regex(SHARD_ID_PATTERN)).min(1).max(SLOTS_MAX).describe('The shard that owns slot i stands at index i.'),
});

export function encodeTopology(topology: Topology): string {
  return toJson({ epoch: topology.epoch, slots: topology.slots, owners: topology.owners });
}

/** @throws ZodError or SyntaxError for what is not a topology. */
export function parseTopology(value: Buffer | string): Topology {
  const { epoch, owners } = topologySchema.parse(parseJson(value));
  return createTopology({ epoch: epoch as Epoch, owners: owners as ShardId[] });
}
