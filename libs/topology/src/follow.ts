/**
 * How a process follows the topology: it asks the control database, every now and then and whenever the topic
 * `topology` announces a newer epoch, and keeps the newest.
 *
 * The table is a hint for routing (R4): the `slot` row on the shard decides. So an old table costs a detour,
 * never a wrong write, and a control database that is down costs nothing while nothing changes. An announcement is
 * believed only as long as the control database cannot be asked: a topic may be older than its cluster, or another's.
 */
import type { Topology } from '@millrace/ring';
import { retry, shared, sleep, type Log } from '@millrace/runtime';
import { must } from '@millrace/write';
import { readTopology, type Queryable } from './control.sql.ts';

export interface TopologyFollower {
  /** The newest topology known. */
  current(): Topology;
  /** Asks the control database; resolves to the newest topology known, also when it does not answer. Calls share questions. */
  refresh(): Promise<Topology>;
  /** Calls back after every change of epoch. */
  onChange(listener: (topology: Topology) => void): void;
  stop(): void;
}

/** Calls back with every topology that is announced, old ones and repeated ones included, until the signal aborts. */
export type Announcements = (onTopology: (topology: Topology) => void, signal: AbortSignal) => void;

export interface TopologyFollowerOptions {
  readonly control: Queryable;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Without them a change is noticed by asking alone. */
  readonly announcements?: Announcements;
}

const POLL_MS = 2_000;
/** Between two questions to the control database, however many ask. */
const SPACING_MS = 20;
const FIRST_RETRY = { baseMs: 100, maxMs: 2_000 };

/** Resolves once a topology is there; waits for the ring-manager to write epoch 1 as long as `signal` allows. */
export async function createTopologyFollower({ control, log, signal, announcements }: TopologyFollowerOptions): Promise<TopologyFollower> {
  const stopped = new AbortController();
  const listeners: ((topology: Topology) => void)[] = [];
  let current = await retry(async () => must(await readTopology(control), 'the ring-manager has not written a topology yet'), {
    ...FIRST_RETRY,
    signal,
    retryable: () => true,
    onRetry: ({ attempt, error }) => log.info({ attempt, reason: String(error) }, 'waiting for the topology'),
  });
  /** False while `current` was only announced. */
  let confirmed = true;
  let announced = current;
  /** Whether the control database answered when it was asked last. */
  let answers = true;

  function change(next: Topology): void {
    if (next.epoch === current.epoch) return;
    current = next;
    log.info({ epoch: next.epoch, confirmed }, 'topology changed');
    for (const listener of listeners) listener(next);
  }

  async function ask(): Promise<void> {
    const heard = announced;
    const next = await readTopology(control).catch(unanswered);
    if (next === 'none') {
      if (announced.epoch <= current.epoch) return;
      confirmed = false;
      return change(announced);
    }
    answers = true;
    if (!next || (confirmed && next.epoch < current.epoch)) return;
    confirmed = true;
    // An epoch is announced after it is made: what the control database does not know by now is not its own.
    if (announced === heard) announced = next;
    change(next);
  }

  /** An outage is told once. */
  function unanswered(error: unknown): 'none' {
    const facts = { reason: String(error), epoch: current.epoch };
    if (answers) log.warn(facts, 'control database does not answer; the known topology stays');
    else log.debug(facts, 'control database still does not answer');
    answers = false;
    return 'none';
  }

  let askedAtMs = -Infinity;
  const askOnce = shared(async () => {
    await sleep(askedAtMs + SPACING_MS - performance.now(), stopped.signal).catch(() => undefined);
    askedAtMs = performance.now();
    if (!stopped.signal.aborted) await ask();
  });

  async function refresh(): Promise<Topology> {
    await askOnce();
    return current;
  }

  function onAnnounced(next: Topology): void {
    if (next.epoch <= announced.epoch || next.epoch <= current.epoch) return;
    if (next.slots !== current.slots) return log.warn({ epoch: next.epoch, slots: next.slots }, 'a topology of another cluster was announced; it is ignored');
    announced = next;
    void refresh();
  }

  async function poll(): Promise<void> {
    while (!stopped.signal.aborted) {
      await refresh();
      await sleep(POLL_MS, stopped.signal).catch(() => undefined);
    }
  }

  announcements?.(onAnnounced, stopped.signal);
  void poll();
  return { current: () => current, refresh, onChange: (listener) => void listeners.push(listener), stop: () => stopped.abort() };
}
