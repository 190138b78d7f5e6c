/** What the broker's answer, or none, means for the records of a request. */
import type { Log } from '@millrace/runtime';
import { must, type Offset } from '@millrace/write';
import type { Backlog } from './backlog.ts';
import { KafkaUnavailable, ProduceRefused, ProduceUnknown } from './errors.ts';
import type { Lane } from './lane.ts';
import type { Places } from './places.ts';
import type { PartitionReply } from './produce-codec.ts';
import { verdictOf } from './produce-errors.ts';
import type { LaneMetrics } from './types.ts';
import { confirmOne, refuseOne, type Batch, type Waiting } from './waiting.ts';

export interface Settling {
  answered(lane: Lane, batches: readonly Batch[], replies: ReadonlyMap<number, PartitionReply>, tookMs: number): void;
  unanswered(lane: Lane, batches: readonly Batch[]): void;
}

export function createSettling(options: {
  readonly topic: string;
  readonly log: Log;
  readonly metrics: LaneMetrics | undefined;
  readonly backlog: Backlog;
  readonly places: Places;
  /** A record that waits for so long is given up when its lane meets a failure. */
  readonly giveUpMs: number;
}): Settling {
  const { topic, log, metrics, backlog, places, giveUpMs } = options;

  function answered(lane: Lane, batches: readonly Batch[], replies: ReadonlyMap<number, PartitionReply>, tookMs: number): void {
    const again: Batch[] = [];
    const errorCodes = new Set<number>();
    const stored: Waiting[] = [];
    for (const batch of batches) {
      const { errorCode, baseOffset } = must(replies.get(batch.slot), 'the reply names every slot of the request');
      const verdict = verdictOf(errorCode);
      if (verdict === 'stored') confirm(batch.records, baseOffset, stored);
      else if (verdict === 'refused') refuse(batch.records, new ProduceRefused(topic, errorCode));
      if (verdict === 'stored' || verdict === 'refused') {
        places.setWell(batch.slot);
        continue;
      }
      errorCodes.add(errorCode);
      if (verdict === 'unknown') for (const record of batch.records) record.maybeStored = true;
      places.setSick(batch.slot, lane);
      again.push(batch);
    }
    const before = backlog.bytes;
    backlog.release(stored);
    // An answer that stored nothing is no sign of health.
    if (stored.length > 0) metrics?.requestStored({ records: stored.length, bytes: before - backlog.bytes, tookMs });
    // The failures of a main lane are those of its broker, and that has answered.
    lane.failures = lane.kind === 'side' && again.length > 0 ? lane.failures + 1 : 0;
    if (again.length === 0) return;
    const slots = again.map(({ slot }) => slot);
    log.warn({ topic, node: lane.node, slots, kafkaErrorCodes: [...errorCodes] }, 'some slots were not stored, they are tried again');
    putBack(lane, again);
  }

  /** L4 */
  function confirm(records: readonly Waiting[], baseOffset: bigint, stored: Waiting[]): void {
    for (let i = 0; i < records.length; i += 1) {
      const record = records[i] as Waiting;
      stored.push(record);
      confirmOne(record, (baseOffset + BigInt(i)) as Offset);
    }
  }

  /** Back to where they were (L3), and those of the lane that have waited too long are given up. */
  function putBack(lane: Lane, batches: readonly Batch[]): void {
    lane.queue.putBack(batches);
    const old = lane.queue.takeOlder(performance.now() - giveUpMs);
    giveUp(old.filter(({ maybeStored }) => maybeStored), new ProduceUnknown(topic));
    giveUp(old.filter(({ maybeStored }) => !maybeStored), new KafkaUnavailable(`topic ${topic} takes no records; they are not stored`));
  }

  function giveUp(records: readonly Waiting[], error: Error): void {
    if (records.length === 0) return;
    metrics?.requestUnknown({ records: records.length, error });
    refuse(records, error);
  }

  function refuse(records: readonly Waiting[], error: Error): void {
    for (const record of records) refuseOne(record, error);
    backlog.release(records);
  }

  return {
    answered,
    unanswered: (lane, batches) => {
      lane.failures += 1;
      putBack(lane, batches);
    },
  };
}
