/** Child processes of the benchmark: each says JSON lines on stdout, logs to a file, and is stopped before the end. */
import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface Message {
  readonly event: string;
  readonly atMs: number;
  readonly [field: string]: unknown;
}

export interface Child {
  readonly name: string;
  readonly pid: number;
  /** The first message of that name, also when it has come already. @throws where the process ends without it. */
  readonly event: (name: string) => Promise<Message>;
  readonly onMessage: (listener: (message: Message) => void) => void;
  /** The exit code; never rejects. */
  readonly exited: Promise<number | null>;
  /** SIGTERM, and SIGKILL after ten seconds. */
  readonly stop: () => Promise<void>;
}

export interface Children {
  readonly start: (program: Program) => Child;
  /** Something started elsewhere that must be stopped with the rest; stopping it twice must do no harm. */
  readonly adopt: (stop: () => Promise<void>) => void;
  readonly stopAll: () => Promise<void>;
}

export interface Program {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

const STOP_TIMEOUT_MS = 10_000;

/** `logDir` must exist; a program's log is named after it. */
export function createChildren({ logDir }: { logDir: string }): Children {
  const running = new Set<Child>();
  const adopted: (() => Promise<void>)[] = [];
  return {
    start: (program) => {
      const child = startChild(program, join(logDir, `${program.name}.log`));
      running.add(child);
      void child.exited.then(() => running.delete(child));
      return child;
    },
    adopt: (stop) => void adopted.push(stop),
    stopAll: async () => {
      await Promise.all([...[...running].map((child) => child.stop()), ...adopted.map((stop) => stop())]);
    },
  };
}

/** The arguments that run a TypeScript program of this folder in Node. */
export function nodeProgram({ name, file, options }: { name: string; file: string; options: object }): Program {
  const path = join(import.meta.dirname, '..', file);
  return { name, command: process.execPath, args: ['--conditions=@millrace/source', '--disable-warning=TimeoutNegativeWarning', path, JSON.stringify(options)] };
}

function startChild({ name, command, args, env }: Program, logFile: string): Child {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NODE_ENV: 'production', ...env } });
  const log = createWriteStream(logFile, { flags: 'a' });
  child.stderr.pipe(log);
  const exited = new Promise<number | null>((resolve) => {
    child.once('exit', (code) => resolve(code));
    child.once('error', (error) => {
      log.write(`${error.message}\n`);
      resolve(null);
    });
  });
  const mailbox = createMailbox();
  const lines = createInterface({ input: child.stdout });
  lines.on('line', (line) => {
    const message = messageIn(line);
    if (message === undefined) log.write(`${line}\n`);
    else mailbox.deliver(message);
  });
  lines.once('close', () => mailbox.close(new Error(`${name} ended too early; see ${logFile}`)));
  return {
    name,
    pid: child.pid ?? -1,
    exited,
    event: mailbox.first,
    onMessage: mailbox.listen,
    stop: async () => {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
      await exited;
      clearTimeout(timer);
    },
  };
}

function createMailbox() {
  const firsts = new Map<string, Message>();
  const listeners: ((message: Message) => void)[] = [];
  const waiting: { name: string; resolve: (message: Message) => void; reject: (error: Error) => void }[] = [];
  let closed: Error | undefined;
  return {
    deliver: (message: Message) => {
      if (!firsts.has(message.event)) firsts.set(message.event, message);
      for (const listener of listeners) listener(message);
      for (const wait of waiting) if (wait.name === message.event) wait.resolve(message);
    },
    listen: (listener: (message: Message) => void) => void listeners.push(listener),
    first: (name: string): Promise<Message> => {
      const known = firsts.get(name);
      if (known !== undefined) return Promise.resolve(known);
      if (closed !== undefined) return Promise.reject(closed);
      return new Promise((resolve, reject) => waiting.push({ name, resolve, reject }));
    },
    close: (error: Error) => {
      closed = error;
      for (const wait of waiting) wait.reject(error);
    },
  };
}

/** Services write log lines on the same stream: what is not a message belongs in the log. */
function messageIn(line: string): Message | undefined {
  if (!line.startsWith('{"event":')) return undefined;
  return JSON.parse(line) as Message;
}
