/** One lane: what waits for a broker, and one request to it at a time (L2). */
import type { Log } from '@millrace/runtime';
import type { BrokerLink } from './broker-link.ts';
import { createMainQueue, createSideQueue, type LaneQueue, type RequestLimits } from './lane-queue.ts';
import { brokerTimeoutMs } from './limits.ts';
import { decodeProduceReply, encodeProduce, requestBytesMax, type PartitionReply } from './produce-codec.ts';
import type { Batch } from './waiting.ts';

/** `side`: for the slots that the broker did not store lately. */
export type LaneKind = 'main' | 'side';

export interface Lane {
  readonly node: number;
  readonly kind: LaneKind;
  readonly queue: LaneQueue;
  running: boolean;
  /** Requests in a row without an answer; in a side lane also those that did not store every slot. */
  failures: number;
  link: BrokerLink | undefined;
  correlationId: number;
  /** The version of the places that the lane has taken note of. */
  placesSeen: number;
}

export function createLane(node: number, kind: LaneKind, limits: RequestLimits): Lane {
  const queue = kind === 'main' ? createMainQueue(limits) : createSideQueue(limits);
  return { node, kind, queue, running: false, failures: 0, link: undefined, correlationId: 0, placesSeen: -1 };
}

export interface Posting {
  readonly topic: string;
  readonly clientId: string;
  readonly log: Log;
  readonly requestTimeoutMs: number;
  /** A connection to the lane's broker. */
  readonly connect: (node: number) => Promise<BrokerLink>;
}

/** The broker's answers by slot; undefined where there was none, with the records marked that may have been stored. */
export async function post(lane: Lane, batches: readonly Batch[], posting: Posting): Promise<ReadonlyMap<number, PartitionReply> | undefined> {
  try {
    // An idle link that the broker closed has lost nothing.
    if (lane.link?.isOpen() === false) lane.link = undefined;
    lane.link ??= await posting.connect(lane.node);
    const replies = await request(lane, lane.link, batches, posting);
    return new Map(replies.map((reply) => [reply.slot, reply]));
  } catch (error) {
    posting.log.warn({ error, topic: posting.topic, node: lane.node, failures: lane.failures }, 'produce request failed, it is tried again');
    if (lane.link !== undefined) for (const { records } of batches) for (const record of records) record.maybeStored = true;
    hangUp(lane);
    return undefined;
  }
}

async function request(lane: Lane, link: BrokerLink, batches: readonly Batch[], posting: Posting): Promise<readonly PartitionReply[]> {
  const { topic, clientId, requestTimeoutMs } = posting;
  lane.correlationId = (lane.correlationId + 1) & 0x7fff_ffff;
  const { correlationId } = lane;
  const produce = { correlationId, clientId, topic, timeoutMs: brokerTimeoutMs(requestTimeoutMs), batches };
  const buffer = link.scratch(requestBytesMax(produce));
  const reply = await link.request(buffer.subarray(0, encodeProduce(buffer, produce)), requestTimeoutMs);
  return decodeProduceReply(reply, correlationId);
}

export function hangUp(lane: Lane): void {
  lane.link?.close();
  lane.link = undefined;
}
