/**
 * Whether writes are taken on now: by what is in flight, and by whether Kafka answers.
 *
 * The breaker learns from the lanes, one result a produce request, and from a watch that sees them stand still long
 * before they give up. While it is open, writes get a fast 503 without their bodies being read; half-open, one write
 * is the probe.
 */
import { KafkaUnavailable, LaneFull, LanesClosed, ProduceRefused, ProduceUnknown, type LaneMetrics, type Lanes } from '@millrace/kafka';
import type { Breaker } from '@millrace/runtime';
import { Refusal } from '../http/answer.ts';
import { tooMuchInFlight } from '../http/body.ts';
import type { Limits } from '../limits.ts';

export interface Admission {
  /** Before the body is read: why the write is refused, if it is. */
  refusesEarly(): Refusal | undefined;
  /** Right before the record goes to the lanes. */
  refusesProduce(): Refusal | undefined;
}

export function createAdmission({ breaker, draining }: { breaker: Breaker; draining: () => boolean }): Admission {
  return {
    refusesEarly() {
      if (draining()) return drainingRefusal();
      return breaker.state() === 'open' ? kafkaUnavailable(breaker) : undefined;
    },
    refusesProduce: () => (breaker.admits() ? undefined : kafkaUnavailable(breaker)),
  };
}

export interface LaneWatch {
  /** What the lanes report to. */
  readonly metrics: LaneMetrics;
  /** Looks whether records wait and none gets through; each look that finds so is a failure to the breaker. */
  start(lanes: Lanes): void;
  stop(): void;
}

/** Passes on what the lanes tell, and tells the breaker what it means. */
export function createLaneWatch({ breaker, metrics, limits }: { breaker: Breaker; metrics: LaneMetrics; limits: Limits }): LaneWatch {
  let movedAtMs = performance.now();
  let timer: NodeJS.Timeout | undefined;

  function look(lanes: Lanes): void {
    const nowMs = performance.now();
    if (lanes.queued().records === 0) movedAtMs = nowMs;
    else if (nowMs - movedAtMs > limits.stallMs) breaker.failed(new Error(`no record got through to Kafka for ${limits.stallMs} ms`));
  }

  return {
    metrics: {
      ...metrics,
      requestStored(request) {
        movedAtMs = performance.now();
        breaker.succeeded();
        metrics.requestStored(request);
      },
      requestUnknown(request) {
        breaker.failed(request.error);
        metrics.requestUnknown(request);
      },
    },
    start: (lanes) => {
      timer = setInterval(() => look(lanes), limits.stallLookMs).unref();
    },
    stop: () => clearInterval(timer),
  };
}

/** What a client hears when a record did not get through. */
export function produceRefusal(error: unknown): Refusal {
  if (error instanceof ProduceUnknown) return new Refusal('produce_unknown', undefined, { retryAfterS: 1 });
  if (error instanceof KafkaUnavailable) return new Refusal('kafka_unavailable', undefined, { retryAfterS: 1 });
  if (error instanceof LaneFull) return tooMuchInFlight();
  if (error instanceof LanesClosed) return drainingRefusal();
  if (error instanceof ProduceRefused) return new Refusal('internal', 'Kafka refuses the record');
  throw error;
}

export function drainingRefusal(): Refusal {
  return new Refusal('draining', undefined, { retryAfterS: 1 });
}

function kafkaUnavailable(breaker: Breaker): Refusal {
  return new Refusal('kafka_unavailable', undefined, { retryAfterS: Math.max(1, Math.ceil(breaker.retryAfterMs() / 1000)) });
}
