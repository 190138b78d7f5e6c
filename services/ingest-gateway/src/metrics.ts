/**
 * What the gateway counts. Counts of the hot path are plain numbers until someone scrapes: the labels of a prom-client
 * counter cost more than the rest of the counting.
 */
import { Counter, Gauge, Histogram, type Registry } from '@millrace/runtime';
import type { Refusal } from './http/answer.ts';

export interface RouteMetrics {
  /** One request (of a bulk request: `lines` of them) with this outcome. */
  count(outcome: string, lines?: number): void;
  refused(refusal: Refusal): void;
  /** Kafka holds what the request brought: time since its headers. */
  acked(tookMs: number): void;
}

export interface Metrics {
  /** `route` is a method and a path template, never a path. */
  route(route: string): RouteMetrics;
  keysReload(ok: boolean): void;
  /** A connection over the limit was closed. */
  connectionDropped(): void;
}

export interface Levels {
  readonly inFlightRecords: () => number;
  readonly inFlightBytes: () => number;
  readonly inFlightReads: () => number;
  readonly waiters: () => number;
  readonly connections: () => Promise<number>;
  readonly recentWrites: () => number;
  readonly bulkStreams: () => number;
}

const ACK_BUCKETS_SECONDS = [0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export function createMetrics(registry: Registry): Metrics {
  const countsByRoute = new Map<string, Map<string, number>>();
  new Counter({
    name: 'millrace_gateway_requests_total',
    help: 'Requests and bulk lines by route and outcome; the outcome of a refusal is its problem code.',
    labelNames: ['route', 'outcome'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [route, counts] of countsByRoute) {
        for (const [outcome, count] of counts) this.inc({ route, outcome }, count);
      }
    },
  });
  const ack = new Histogram({
    name: 'millrace_gateway_ack_seconds',
    help: 'Time from the headers of a single write, or from the chunk of a bulk request, to its ack by Kafka.',
    buckets: ACK_BUCKETS_SECONDS,
    registers: [registry],
  });
  const keysFailed = new Gauge({
    name: 'millrace_gateway_api_keys_reload_failed',
    help: '1 while the API keys file cannot be used and older keys stay in force.',
    registers: [registry],
  });

  const dropped = new Counter({
    name: 'millrace_gateway_connections_dropped_total',
    help: 'Connections that were closed at once, because the limit was reached.',
    registers: [registry],
  });

  return {
    route(route) {
      const counts = countsByRoute.get(route) ?? new Map<string, number>();
      countsByRoute.set(route, counts);
      const count = (outcome: string, lines = 1): void => void counts.set(outcome, (counts.get(outcome) ?? 0) + lines);
      return { count, refused: (refusal) => count(refusal.document.code), acked: (tookMs) => ack.observe(tookMs / 1000) };
    },
    keysReload: (ok) => keysFailed.set(ok ? 0 : 1),
    connectionDropped: () => dropped.inc(),
  };
}

/** Gauges that are read when someone scrapes. */
export function observeLevels(registry: Registry, levels: Levels): void {
  const gauge = (name: string, help: string, read: () => number | Promise<number>): void => {
    new Gauge({
      name: `millrace_gateway_${name}`,
      help,
      registers: [registry],
      async collect() {
        this.set(await read());
      },
    });
  };
  gauge('in_flight_records', 'Single writes between their headers and their answer.', levels.inFlightRecords);
  gauge('in_flight_bytes', 'Bytes of single bodies that are being read, or held while a shard is asked about their key.', levels.inFlightBytes);
  gauge('in_flight_reads', 'Reads between their headers and their answer.', levels.inFlightReads);
  gauge('waiters', 'Requests that wait for an outcome, a receipt or a slot on its way.', levels.waiters);
  gauge('connections', 'Open client connections.', levels.connections);
  gauge('recent_writes', 'Acknowledged writes that a retry finds without Kafka.', levels.recentWrites);
  gauge('bulk_streams', 'Bulk requests under way.', levels.bulkStreams);
}
