/**
 * The topics and their settings, with the reason for each.
 *
 * `writes` and `sagas` have S partitions: one slot is one partition. `outcomes` has S too, so that the events of a
 * key keep their order. `topology` has one and is compacted: its last record is the truth it announces.
 */

export interface TopicNames {
  readonly writes: string;
  readonly sagas: string;
  readonly outcomes: string;
  readonly topology: string;
}

export interface TopicSettings {
  readonly name: string;
  readonly partitions: number;
  readonly config: Readonly<Record<string, string>>;
}

/** How long a record stays in `writes` and `sagas`: the time that a shard may be down without losing a write. */
export const RETENTION_MS = 14 * 24 * 60 * 60 * 1000;
const OUTCOMES_RETENTION_MS = 7 * 24 * 60 * 60 * 1000;

/** Topic names under a prefix, by which several clusters share one Kafka. */
export function topicNames(prefix: string): TopicNames {
  return {
    writes: `${prefix}writes`,
    sagas: `${prefix}sagas`,
    outcomes: `${prefix}outcomes`,
    topology: `${prefix}topology`,
  };
}

/** What each topic is created with; `slots` is S. */
export function topicSettings({ prefix, slots, minInsync }: { prefix: string; slots: number; minInsync: number }): readonly TopicSettings[] {
  const names = topicNames(prefix);
  const common = {
    // An ack means this many brokers hold the record.
    'min.insync.replicas': String(minInsync),
    // A lagging replica that becomes leader would drop acknowledged records.
    'unclean.leader.election.enable': 'false',
    // The broker's clock, once: reducers take time from the log, and no client can age a record out early.
    'message.timestamp.type': 'LogAppendTime',
  };
  const log = {
    ...common,
    'cleanup.policy': 'delete',
    'retention.ms': String(RETENTION_MS),
    // By time only: a burst must not push out what a shard has not applied yet.
    'retention.bytes': '-1',
    // Only gzip is built into the client: a foreign codec would halt a partition, so the broker stores plain.
    'compression.type': 'uncompressed',
    'max.message.bytes': String(1024 * 1024),
  };
  return [
    { name: names.writes, partitions: slots, config: log },
    { name: names.sagas, partitions: slots, config: log },
    { name: names.outcomes, partitions: slots, config: { ...log, 'retention.ms': String(OUTCOMES_RETENTION_MS) } },
    { name: names.topology, partitions: 1, config: { ...common, 'cleanup.policy': 'compact', 'compression.type': 'uncompressed' } },
  ];
}
