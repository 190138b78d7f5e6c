/**
 * A breaker is admission: may new work be taken on for this shard, or for Kafka?
 *
 * It never runs, times out or drops the work itself; whoever does the work reports how it went. opossum keeps the
 * rolling window and the three states. After `resetMs` the breaker is half-open and admits exactly one probe: its
 * success closes the breaker, its failure opens it again. A probe that never reports loses its place after
 * `resetMs`, so that a request which came to nothing on other grounds cannot keep the breaker shut.
 */
import CircuitBreaker from 'opossum';
import { breakerMetrics } from './breakerMetrics.ts';
import type { Log } from './log.ts';
import type { Registry } from './metrics.ts';

export type BreakerState = 'closed' | 'open' | 'half-open';

export interface Breaker {
  /** Whether new work may start now. In half-open, true takes the probe's place. */
  admits(): boolean;
  /** Admitted work went well. Also a refusal that says the other side is healthy. */
  succeeded(): void;
  /** The other side did not answer, or not as a healthy one does. */
  failed(error: unknown): void;
  state(): BreakerState;
  /** How long a refused client should wait: 0 when closed, at least 1 otherwise. */
  retryAfterMs(): number;
  /** Stops the timers. Admits everything from then on. */
  shutdown(): void;
}

export interface BreakerOptions {
  /** What is guarded: `kafka`, `shard a`. A metric label: few values. */
  readonly name: string;
  /** How long the breaker stays open before it lets a probe through. */
  readonly resetMs: number;
  /** Opens above this share of failures in the last ten seconds, */
  readonly errorThresholdPercent?: number;
  /** but never before this many results. */
  readonly volumeThreshold?: number;
  readonly log: Log;
  readonly registry: Registry;
}

const ERROR_THRESHOLD_PERCENT = 50;
const VOLUME_THRESHOLD = 20;
const WINDOW_MS = 10_000;

type Result = { readonly ok: true } | { readonly ok: false; readonly error: unknown };

/** A closed breaker. */
export function createBreaker(options: BreakerOptions): Breaker {
  const { name, resetMs, log } = options;
  const metrics = breakerMetrics(options.registry);
  const circuit = openCircuit(options);
  let openedAtMs = 0;
  let probeUntilMs = 0;

  circuit.on('open', () => {
    openedAtMs = Date.now();
    probeUntilMs = 0;
    metrics.state(name, 'open');
    log.warn({ breaker: name, resetMs }, 'breaker opened: new work is refused until a probe succeeds');
  });
  circuit.on('halfOpen', () => {
    probeUntilMs = 0;
    metrics.state(name, 'half-open');
    log.info({ breaker: name }, 'breaker half-open: the next work is the probe');
  });
  circuit.on('close', () => {
    metrics.state(name, 'closed');
    log.info({ breaker: name }, 'breaker closed');
  });
  metrics.state(name, 'closed');

  const state = (): BreakerState => (circuit.opened ? 'open' : circuit.halfOpen ? 'half-open' : 'closed');

  const report = (result: Result): void => {
    // What was admitted before the breaker opened says nothing about now.
    if (state() === 'open' || circuit.isShutdown) return;
    circuit.fire(result).catch((error: unknown) => {
      log.debug({ breaker: name, error }, 'failure counted by the breaker');
    });
  };

  return {
    admits() {
      const now = state();
      if (now === 'closed') return true;
      if (now === 'half-open' && Date.now() >= probeUntilMs) {
        probeUntilMs = Date.now() + resetMs;
        return true;
      }
      metrics.refused(name);
      return false;
    },
    succeeded: () => report({ ok: true }),
    failed: (error) => report({ ok: false, error }),
    state,
    retryAfterMs() {
      const now = state();
      if (now === 'closed') return 0;
      const untilMs = now === 'open' ? openedAtMs + resetMs : probeUntilMs;
      return Math.max(1, untilMs - Date.now());
    },
    shutdown: () => circuit.shutdown(),
  };
}

function openCircuit(options: BreakerOptions): CircuitBreaker<[Result], void> {
  return new CircuitBreaker(settle, {
    name: options.name,
    timeout: false,
    resetTimeout: options.resetMs,
    errorThresholdPercentage: options.errorThresholdPercent ?? ERROR_THRESHOLD_PERCENT,
    volumeThreshold: options.volumeThreshold ?? VOLUME_THRESHOLD,
    rollingCountTimeout: WINDOW_MS,
    rollingPercentilesEnabled: false,
    enableSnapshots: false,
  });
}

/** Throws in the same turn, so that the state after `failed()` is already the new one. */
function settle(result: Result): Promise<void> {
  if (!result.ok) throw result.error;
  return Promise.resolve();
}
