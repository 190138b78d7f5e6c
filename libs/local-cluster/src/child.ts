/**
 * One child process with a log file: started until it is ready, stopped with its own signal within a time, killed
 * with any signal, started again. Nothing here decides whether it should run: that is the supervisor's.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { assert, must } from '@millrace/write';

import { markOf, type ProcessMark } from './proc.ts';
import { unwatch, watch } from './watchdog.ts';

/** How to run it this time; asked anew at each start, so that configuration files are written then. */
export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  readonly uid?: number;
  readonly gid?: number;
}

export interface ChildSpec {
  readonly name: string;
  readonly logFile: string;
  readonly launch: () => Launch | Promise<Launch>;
  /** Resolves when the process serves; it may poll until the signal says that the process has ended. */
  readonly ready: (pid: number, ended: AbortSignal) => Promise<void>;
  readonly stopSignal: NodeJS.Signals;
  /** After this the process is killed with SIGKILL. */
  readonly stopTimeoutMs: number;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Child {
  readonly name: string;
  readonly logFile: string;
  /** Undefined while it does not run. */
  readonly pid: number | undefined;
  /** Starts it and waits until it is ready. @throws ChildFailed with the end of its log where it ends before. */
  start(): Promise<void>;
  /** Asks it to end, waits, and insists after the stop timeout. Nothing to do where it does not run. */
  stop(): Promise<void>;
  /** Sends a signal. After SIGKILL it resolves when the process is gone, after any other at once. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Resolves when the process that runs now has ended; at once where none runs. */
  exited(): Promise<Exit | undefined>;
  readonly mark: ProcessMark | undefined;
  readonly stopSignal: NodeJS.Signals;
  /** Calls back whenever a process has begun or ended. */
  onChange(listener: () => void): void;
}

export class ChildFailed extends Error {
  override readonly name = 'ChildFailed';
  readonly logTail: string;

  constructor(name: string, exit: Exit, logFile: string, logTail: string) {
    const how = exit.signal === null ? `code ${exit.code}` : exit.signal;
    super(`${name} ended with ${how} before it was ready; its log, ${logFile}, ends with:\n${logTail}`);
    this.logTail = logTail;
  }
}

interface Running {
  readonly process: ChildProcess;
  readonly mark: ProcessMark;
  readonly exit: Promise<Exit>;
}

export function createChild(spec: ChildSpec): Child {
  let running: Running | undefined;
  const listeners: (() => void)[] = [];
  const changed = (): void => listeners.forEach((listener) => listener());

  const start = async (): Promise<void> => {
    assert(running === undefined, `${spec.name} runs already`);
    const launch = await spec.launch();
    const started = await launchProcess(spec, launch);
    running = started;
    const ended = new AbortController();
    void started.exit.then(() => {
      unwatch(started.mark);
      ended.abort(new Error(`${spec.name} has ended`));
      if (running === started) running = undefined;
      changed();
    });
    changed();
    await Promise.race([failOnExit(spec, started), spec.ready(started.mark.pid, ended.signal)]);
  };

  const stop = async (): Promise<void> => {
    const { process: child, exit } = running ?? {};
    if (child === undefined || exit === undefined) return;
    child.kill('SIGCONT'); // a stopped process cannot hear the next signal
    child.kill(spec.stopSignal);
    const limit = new AbortController();
    const late = delay(spec.stopTimeoutMs, 'late' as const, { signal: limit.signal }).catch(() => undefined);
    if ((await Promise.race([exit, late])) === 'late') child.kill('SIGKILL');
    limit.abort();
    await exit;
  };

  return {
    name: spec.name,
    logFile: spec.logFile,
    get pid() {
      return running?.mark.pid;
    },
    start,
    stop,
    kill: async (signal) => {
      if (running === undefined) return;
      const { process: child, exit } = running;
      child.kill(signal);
      if (signal === 'SIGKILL') await exit;
    },
    exited: async () => await running?.exit,
    get mark() {
      return running?.mark;
    },
    stopSignal: spec.stopSignal,
    onChange: (listener) => void listeners.push(listener),
  };
}

async function launchProcess(spec: ChildSpec, launch: Launch): Promise<Running> {
  mkdirSync(dirname(spec.logFile), { recursive: true });
  const log = openSync(spec.logFile, 'a', 0o600);
  try {
    const child = spawn(launch.command, launch.args, {
      cwd: launch.cwd,
      env: launch.env ?? process.env,
      uid: launch.uid,
      gid: launch.gid,
      detached: true, // its own session: Ctrl-C in the terminal is not for it
      stdio: ['ignore', log, log],
    });
    const exit = new Promise<Exit>((resolve) => {
      child.once('exit', (code, signal) => resolve({ code, signal }));
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    child.on('error', () => undefined); // a signal that could not be delivered: the exit tells what counts
    const pid = must(child.pid, 'a spawned process has a pid');
    // A process that has ended already leaves no mark; its exit is reported by the caller.
    const mark = markOf(pid) ?? { pid, startTicks: -1 };
    watch(mark, spec.stopSignal);
    return { process: child, mark, exit };
  } finally {
    closeSync(log);
  }
}

async function failOnExit(spec: ChildSpec, running: Running): Promise<never> {
  const exit = await running.exit;
  throw new ChildFailed(spec.name, exit, spec.logFile, tailOf(spec.logFile));
}

function tailOf(file: string): string {
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-25).join('\n');
}
