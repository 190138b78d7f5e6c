/**
 * The life of a process: start, run, drain, exit.
 *
 * What is opened registers how it is closed (`life.onDrain`); the drain runs those steps one after the other, last
 * opened first, and the log tells each. It begins at SIGTERM, SIGINT or a crash and must end within a deadline.
 * A second signal exits at once. The exit code is 0 only for a drain that a signal began and every step finished.
 */
import type { Log } from './log.ts';

export interface Life {
  /** Aborts when the drain begins: every wait of the process listens to it. */
  readonly signal: AbortSignal;
  /** Registers what closes the thing just opened. */
  onDrain(name: string, close: () => Promise<void> | void): void;
  /** Our own failure: logged, then the drain, then exit code 1. */
  fail(error: unknown): void;
}

/** The parts of `process` that a life hangs on. */
export interface Host {
  on(event: HostEvent, listener: (cause: unknown) => void): unknown;
  exit(code: number): void;
}
export type HostEvent = 'SIGTERM' | 'SIGINT' | 'uncaughtException' | 'unhandledRejection';

export interface RunOptions {
  readonly name: string;
  readonly log: Log;
  /** For the whole drain, all steps together. */
  readonly drainTimeoutMs: number;
  readonly start: (life: Life) => Promise<void>;
  /** `process`, but for tests. */
  readonly host?: Host;
}

/** The reason of `life.signal`. */
export class Draining extends Error {
  override readonly name = 'Draining';
  readonly code = 'draining';
}

interface Step {
  readonly name: string;
  readonly close: () => Promise<void> | void;
}

/** What the drain works through, and where it is. */
interface Drain {
  readonly steps: Step[];
  current: string;
  clean: boolean;
}

/** Runs a process until a signal or a crash. Resolves when the drain is over, after `exit`. */
export function run({ name, log, drainTimeoutMs, start, host = process }: RunOptions): Promise<void> {
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const abort = new AbortController();
  const drain: Drain = { steps: [], current: 'start', clean: true };
  let phase: 'running' | 'draining' | 'over' = 'running';

  const exit = (code: number): void => {
    if (phase === 'over') return;
    phase = 'over';
    host.exit(code);
    end();
  };
  const beginDrain = (reason: string): void => {
    phase = 'draining';
    log.info({ reason, drainTimeoutMs, steps: namesOf(drain) }, `${name} drains`);
    const deadline = setTimeout(() => {
      log.fatal({ step: drain.current, left: namesOf(drain) }, 'drain deadline passed: forced exit');
      exit(1);
    }, drainTimeoutMs);
    abort.abort(new Draining(`${name} drains: ${reason}`));
    void started.then(() => closeAll(drain, log)).then(() => {
      clearTimeout(deadline);
      log.info({ clean: drain.clean }, `${name} is drained`);
      exit(drain.clean ? 0 : 1);
    });
  };
  const fail = (error: unknown): void => {
    drain.clean = false;
    log.fatal({ error }, `${name} failed`);
    if (phase === 'running') beginDrain('failure');
  };
  const onSignal = (signal: string): void => {
    if (phase === 'running') return beginDrain(signal);
    log.warn({ signal, step: drain.current }, 'second signal: forced exit');
    exit(1);
  };

  host.on('SIGTERM', () => onSignal('SIGTERM'));
  host.on('SIGINT', () => onSignal('SIGINT'));
  host.on('uncaughtException', fail);
  host.on('unhandledRejection', fail);

  const onDrain = (step: string, close: Step['close']): void => void drain.steps.push({ name: step, close });
  const life: Life = { signal: abort.signal, onDrain, fail };
  // The start runs in a turn of its own: a failure in its first lines already finds `started`.
  const started = Promise.resolve()
    .then(() => start(life))
    .then(
      () => log.info(`${name} runs`),
      (error: unknown) => {
        if (phase === 'running') fail(error);
        else log.info({ error }, `${name} was still starting when it was told to stop`);
      },
    );
  return ended;
}

/** Steps that a late start still registers are closed too: the list is read until it is empty. */
async function closeAll(drain: Drain, log: Log): Promise<void> {
  for (let step = drain.steps.pop(); step !== undefined; step = drain.steps.pop()) {
    drain.current = step.name;
    const sinceMs = Date.now();
    try {
      await step.close();
      log.info({ step: step.name, tookMs: Date.now() - sinceMs }, 'drain step done');
    } catch (error) {
      drain.clean = false;
      log.error({ step: step.name, error }, 'drain step failed; the others go on');
    }
  }
}

function namesOf({ steps }: Drain): string[] {
  return steps.map((step) => step.name).reverse();
}
