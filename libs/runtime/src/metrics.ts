/** One metrics registry per process, passed as an argument: prom-client's global one is never used. */
import { performance } from 'node:perf_hooks';
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';

export { Counter, Gauge, Histogram } from 'prom-client';
export type { Registry } from 'prom-client';

/** Buckets for waits within a service or towards Kafka and Postgres: 1 ms to 30 s. */
export const LATENCY_BUCKETS_SECONDS: number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
];

/** A registry with the process's own metrics: CPU, memory, handles, GC, event loop delay and utilisation. */
export function createRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  let before = performance.eventLoopUtilization();
  new Gauge({
    name: 'millrace_event_loop_utilization_ratio',
    help: 'Share of the time since the last scrape in which the event loop was busy; 1 means no idle time left.',
    registers: [registry],
    collect() {
      const now = performance.eventLoopUtilization();
      this.set(performance.eventLoopUtilization(now, before).utilization);
      before = now;
    },
  });
  return registry;
}

/** Makes `create` run once per registry, for metrics that several breakers, pools or lanes share by label. */
export function oncePerRegistry<T>(create: (registry: Registry) => T): (registry: Registry) => T {
  const made = new WeakMap<Registry, T>();
  return (registry) => {
    const known = made.get(registry);
    if (known !== undefined) return known;
    const fresh = create(registry);
    made.set(registry, fresh);
    return fresh;
  };
}
