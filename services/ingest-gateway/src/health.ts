/** Whether the gateway makes progress. */
import type { Lanes } from '@millrace/kafka';
import type { Breaker, Check, Health } from '@millrace/runtime';

export interface GatewayHealth {
  readonly read: () => Health;
  /** From now on requests are taken. */
  serving(lanes: Lanes): void;
}

export function createHealth({ breaker, draining }: { breaker: Breaker; draining: () => boolean }): GatewayHealth {
  let lanes: Lanes | undefined;

  const progress = (): Check => ({ name: 'kafka', ok: breaker.state() !== 'open', detail: `breaker ${breaker.state()}, ${lanes?.queued().records ?? 0} records wait` });

  return {
    read: () => ({
      // That this is answered shows that the event loop turns; an outage of Kafka is not cured by a restart.
      live: [{ name: 'event loop', ok: true }],
      ready: [{ name: 'started', ok: lanes !== undefined }, { name: 'not draining', ok: !draining() }, progress()],
    }),
    serving: (opened) => {
      lanes = opened;
    },
  };
}
