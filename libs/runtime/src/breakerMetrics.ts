import { Counter, Gauge, oncePerRegistry } from './metrics.ts';
import type { BreakerState } from './breaker.ts';

const LEVEL: Readonly<Record<BreakerState, number>> = { closed: 0, 'half-open': 1, open: 2 };

export const breakerMetrics = oncePerRegistry((registry) => {
  const state = new Gauge({
    name: 'millrace_breaker_state',
    help: 'State of an admission breaker: 0 closed, 1 half-open, 2 open.',
    labelNames: ['breaker'],
    registers: [registry],
  });
  const refused = new Counter({
    name: 'millrace_breaker_refused_total',
    help: 'Work that was refused because its breaker was not closed.',
    labelNames: ['breaker'],
    registers: [registry],
  });
  return {
    state: (breaker: string, now: BreakerState): void => state.set({ breaker }, LEVEL[now]),
    refused: (breaker: string): void => refused.inc({ breaker }),
  };
});
