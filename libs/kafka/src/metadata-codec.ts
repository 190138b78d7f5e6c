/**
 * The Metadata request, version 6, and its reply (https://kafka.apache.org/protocol): the brokers, and who leads which slot.
 *
 * kafkajs's own reading of it fails as a whole where one partition of any topic of the cluster has no leader.
 */
import { assert } from '@millrace/write';
import { writeRequestHeader, writeString } from './request-header.ts';
import type { BrokerAddress } from './types.ts';

export interface Metadata {
  readonly brokers: ReadonlyMap<number, BrokerAddress>;
  /** Of the topic that was asked for: 0, or Kafka's error code. */
  readonly errorCode: number;
  /** The node that leads each partition that the reply names; -1 where there is none. */
  readonly leaders: ReadonlyMap<number, number>;
}

const API_KEY_METADATA = 3;
const API_VERSION = 6;
const HEADER_BYTES = 32;

/** The framed request. Makes no topic. */
export function encodeMetadata({ correlationId, clientId, topic }: { readonly correlationId: number; readonly clientId: string; readonly topic: string }): Buffer {
  const buffer = Buffer.allocUnsafe(HEADER_BYTES + Buffer.byteLength(clientId) + Buffer.byteLength(topic));
  let at = writeRequestHeader(buffer, { apiKey: API_KEY_METADATA, apiVersion: API_VERSION, correlationId, clientId });
  at = buffer.writeInt32BE(1, at);
  at = writeString(buffer, topic, at);
  at = buffer.writeInt8(0, at);
  buffer.writeInt32BE(at - 4, 0);
  return buffer.subarray(0, at);
}

/** Reads the reply without its length prefix. */
export function decodeMetadata(reply: Buffer, correlationId: number): Metadata {
  let at = 0;
  const int16 = (): number => reply.readInt16BE((at += 2) - 2);
  const int32 = (): number => reply.readInt32BE((at += 4) - 4);
  const string = (): string => {
    const length = Math.max(0, int16());
    return reply.toString('utf8', at, (at += length));
  };
  const times = <T>(read: () => T): readonly T[] => Array.from({ length: int32() }, read);

  assert(int32() === correlationId, 'a connection with one request in flight gets the reply to it');
  int32(); // throttled for
  const brokers = times(() => {
    const broker = [int32(), { host: string(), port: int32() }] as const;
    string(); // rack
    return broker;
  });
  string(); // cluster
  int32(); // controller
  const topics = times(() => {
    const errorCode = int16();
    string();
    at += 1; // internal
    const leaders = times(() => {
      int16(); // a partition without a leader says so by its leader
      const leader = [int32(), int32()] as const;
      for (let lists = 0; lists < 3; lists += 1) times(int32); // replicas: all, in sync, offline
      return leader;
    });
    return { errorCode, leaders: new Map(leaders) };
  });
  assert(topics.length === 1, 'one topic was asked for');
  return { brokers: new Map(brokers), ...(topics[0] as (typeof topics)[number]) };
}
