/** Where the log of each slot begins and ends. */
import { topicOffsets, type KafkaClient, type SlotOffsets } from '@millrace/kafka';
import { shared, sleep, type Log } from '@millrace/runtime';
import type { Slot } from '@millrace/write';

/** 64 slots that find their positions together ask once. @throws the signal's reason */
export type LogEnds = () => Promise<ReadonlyMap<Slot, SlotOffsets>>;

const RETRY_MS = 1_000;

export function createLogEnds({ kafka, topic, log, signal }: { kafka: KafkaClient; topic: string; log: Log; signal: AbortSignal }): LogEnds {
  return shared(async () => {
    for (;;) {
      try {
        const ends = await topicOffsets({ kafka, topic, signal });
        return new Map(ends.map((end) => [end.slot, end]));
      } catch (error) {
        log.warn({ reason: String(error) }, "cannot read the log's ends; trying again");
        await sleep(RETRY_MS, signal);
      }
    }
  });
}
