/**
 * How a process follows the topology: it polls the control database and keeps the newest epoch.
 *
 * The table is a hint for routing (R4): the `slot` row on the shard decides. So an old table costs a detour,
 * never a wrong write, and a control database that is down costs nothing while nothing changes.
 */
import type { Database } from '@millrace/postgres';
import type { Topology } from '@millrace/ring';
import { retry, sleep, type Log } from '@millrace/runtime';
import { must } from '@millrace/write';
import { readTopology } from './control.sql.ts';

export interface TopologyFollower {
  /** The newest topology known. */
  current(): Topology;
  /** Asks the control database now; resolves to the newest topology known, also when it does not answer. */
  refresh(): Promise<Topology>;
  /** Calls back after every change of epoch. */
  onChange(listener: (topology: Topology) => void): void;
  stop(): void;
}

const POLL_MS = 2_000;
const FIRST_RETRY = { baseMs: 100, maxMs: 2_000 };

/** Resolves once a topology is there; waits for the ring-manager to write epoch 1 as long as `signal` allows. */
export async function createTopologyFollower({ control, log, signal }: { control: Database; log: Log; signal: AbortSignal }): Promise<TopologyFollower> {
  const stopped = new AbortController();
  const listeners: ((topology: Topology) => void)[] = [];
  let current = await retry(async () => must(await readTopology(control), 'the ring-manager has not written a topology yet'), {
    ...FIRST_RETRY,
    signal,
    retryable: () => true,
    onRetry: ({ attempt, error }) => log.info({ attempt, reason: String(error) }, 'waiting for the topology'),
  });

  function accept(next: Topology | undefined): void {
    if (!next || next.epoch <= current.epoch) return;
    current = next;
    log.info({ epoch: next.epoch }, 'topology changed');
    for (const listener of listeners) listener(next);
  }

  async function refresh(): Promise<Topology> {
    const next = await readTopology(control).catch((error: unknown) => {
      log.warn({ reason: String(error), epoch: current.epoch }, 'control database does not answer; the known topology stays');
      return undefined;
    });
    accept(next);
    return current;
  }

  async function poll(): Promise<void> {
    while (!stopped.signal.aborted) {
      await refresh();
      await sleep(POLL_MS, stopped.signal).catch(() => undefined);
    }
  }

  void poll();
  return { current: () => current, refresh, onChange: (listener) => void listeners.push(listener), stop: () => stopped.abort() };
}
