/** The lanes' metrics: names, labels and buckets. */
import { Counter, Gauge, Histogram, LATENCY_BUCKETS_SECONDS, oncePerRegistry, type Registry } from '@millrace/runtime';
import type { LaneMetrics } from './types.ts';

const labelNames = ['topic'] as const;
const REQUEST_RECORDS_BUCKETS = [1, 5, 10, 25, 50, 100, 250, 500, 1_000];

const register = oncePerRegistry((registry) => {
  const registers = [registry];
  return {
    seconds: new Histogram({
      name: 'millrace_kafka_produce_seconds',
      help: 'From a produce request to its confirmation.',
      labelNames,
      registers,
      buckets: LATENCY_BUCKETS_SECONDS,
    }),
    records: new Histogram({
      name: 'millrace_kafka_produce_records',
      help: 'Records that one produce request stored.',
      labelNames,
      registers,
      buckets: REQUEST_RECORDS_BUCKETS,
    }),
    givenUp: new Counter({
      name: 'millrace_kafka_produce_given_up_total',
      help: 'Records given up: their fate is unknown, or they were never sent.',
      labelNames,
      registers,
    }),
    queuedRecords: new Gauge({
      name: 'millrace_kafka_produce_queued_records',
      help: 'Records that wait or are in flight.',
      labelNames,
      registers,
    }),
    queuedBytes: new Gauge({
      name: 'millrace_kafka_produce_queued_bytes',
      help: 'Keys and values that wait or are in flight.',
      labelNames,
      registers,
    }),
  };
});

/** The metrics of one topic's lanes; the metrics are registered once per registry. */
export function createLaneMetrics({ registry, topic }: { readonly registry: Registry; readonly topic: string }): LaneMetrics {
  const metrics = register(registry);
  const seconds = metrics.seconds.labels(topic);
  const records = metrics.records.labels(topic);
  const givenUp = metrics.givenUp.labels(topic);
  const queuedRecords = metrics.queuedRecords.labels(topic);
  const queuedBytes = metrics.queuedBytes.labels(topic);
  return {
    requestStored: (request) => {
      seconds.observe(request.tookMs / 1_000);
      records.observe(request.records);
    },
    requestUnknown: (request) => {
      givenUp.inc(request.records);
    },
    queued: (queue) => {
      queuedRecords.set(queue.records);
      queuedBytes.set(queue.bytes);
    },
  };
}
