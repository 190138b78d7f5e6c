/** What topic `topology` announces. */
import { tailTopic, type KafkaClient } from '@millrace/kafka';
import type { Topology } from '@millrace/ring';
import type { Log } from '@millrace/runtime';
import { parseTopology } from '@millrace/wire';
import type { Announcements } from './follow.ts';

/** Reads the topic from its start and follows it. A record that is no topology is left out. */
export function readAnnouncements({ kafka, topic, log }: { kafka: KafkaClient; topic: string; log: Log }): Announcements {
  function parse(value: Buffer): Topology | undefined {
    try {
      return parseTopology(value);
    } catch (error) {
      log.warn({ topic, reason: String(error) }, 'a record of the topic is no topology; it is ignored');
      return undefined;
    }
  }

  return (onTopology, signal) => {
    const tailing = tailTopic({
      kafka,
      topic,
      slot: 0,
      onRecords(records) {
        for (const { value } of records) {
          const topology = value ? parse(value) : undefined;
          if (topology) onTopology(topology);
        }
      },
      signal,
    });
    tailing.catch((error: unknown) => log.error({ topic, reason: String(error) }, 'announcements are not read any more; the topology is followed by asking alone'));
  };
}
