/** A real Postgres as a child process, on the loopback, with password roles. Its data lives in its directory. */
import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { ChildFailed, createChild, type Child } from './child.ts';
import { freePort } from './ports.ts';
import { postgresBinaries } from './postgres-binaries.ts';
import { postgresqlConf } from './postgres-config.ts';
import { DATABASE, ensureData, localeOf, READER, SUPERUSER, WRITER, type Passwords } from './postgres-init.ts';
import { postgresUser } from './postgres-user.ts';
import { commandLine, isErrno } from './proc.ts';
import { until } from './wait.ts';

const READY_TIMEOUT_MS = 120_000; // recovery after a crash replays up to max_wal_size
const STOP_TIMEOUT_MS = 30_000;

/** Backends of a postmaster that was killed end by themselves, and until then the data is theirs. */
const ORPHANS_TIMEOUT_MS = 30_000;
const ORPHANS = /pre-existing shared memory block|lock file .* already exists/;

export interface Postgres extends Child {
  readonly port: number;
  /** Of the superuser. */
  readonly url: string;
  readonly writerUrl: string;
  readonly readerUrl: string;
}

export interface PostgresOptions {
  readonly name?: string;
  /** Data and configuration; used again where it holds them, then with the same passwords. */
  readonly dir: string;
  /** Used where it is free; another is taken where it is not. */
  readonly port?: number;
  /** Generated, and kept in the directory, where the caller keeps none. */
  readonly passwords?: Passwords;
  /** Default true: what a commit promised survives the machine. */
  readonly durable?: boolean;
  readonly logDir?: string;
  readonly overrides?: Readonly<Record<string, string>>;
}

/** Started and ready for connections. */
export async function startPostgres(options: PostgresOptions): Promise<Postgres> {
  const postgres = await createPostgres(options);
  try {
    await postgres.start();
    return postgres;
  } catch (error) {
    await postgres.stop();
    throw error;
  }
}

/** Its data made where it is not there, not started. */
export async function createPostgres(options: PostgresOptions): Promise<Postgres> {
  const { name = 'postgres', dir, durable = true, overrides } = options;
  const user = await postgresUser(dir, postgresBinaries());
  const passwords = options.passwords ?? keptPasswords(user.home);
  const data = await ensureData(user, passwords, durable);
  const port = await freePort(options.port);
  const child = createChild({
    name,
    logFile: join(options.logDir ?? dir, `${name}.log`),
    launch: () => {
      refuseSecondPostmaster(data);
      writeFileSync(join(data, 'postgresql.conf'), postgresqlConf({ port, durable, overrides }));
      return { ...user.as(user.binaries.postgres, ['-D', data]), env: localeOf(process.env) };
    },
    ready: (_pid, signal) => until(() => isReady(data), { timeoutMs: READY_TIMEOUT_MS, what: `${name} to accept`, signal }),
    stopSignal: 'SIGINT', // "fast": sessions are ended, a checkpoint is written
    stopTimeoutMs: STOP_TIMEOUT_MS,
  });
  const start = child.start;
  const url = (role: string, password: string): string => `postgres://${role}:${password}@127.0.0.1:${port}/${DATABASE}`;
  return Object.assign(child, {
    port,
    url: url(SUPERUSER, passwords.superuser),
    writerUrl: url(WRITER, passwords.writer),
    readerUrl: url(READER, passwords.reader),
    start: () => startAfterOrphans(start, name),
  });
}

export function newPasswords(): Passwords {
  const password = (): string => randomBytes(18).toString('base64url');
  return { superuser: password(), writer: password(), reader: password() };
}

function keptPasswords(home: string): Passwords {
  const file = join(home, 'passwords');
  try {
    const [superuser = '', writer = '', reader = ''] = readFileSync(file, 'utf8').split('\n');
    return { superuser, writer, reader };
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
    const fresh = newPasswords();
    writeFileSync(file, `${fresh.superuser}\n${fresh.writer}\n${fresh.reader}\n`, { mode: 0o600 });
    return fresh;
  }
}

async function startAfterOrphans(start: () => Promise<void>, name: string): Promise<void> {
  const attempt = async (): Promise<boolean> => {
    try {
      await start();
      return true;
    } catch (error) {
      if (error instanceof ChildFailed && ORPHANS.test(error.logTail)) return false;
      throw error;
    }
  };
  await until(attempt, { timeoutMs: ORPHANS_TIMEOUT_MS, everyMs: 100, what: `${name}: the backends of its predecessor` });
}

/**
 * Postgres itself trusts the pid in a stale lock file when any process has it now; here the process must also be a
 * postmaster of this directory.
 */
function refuseSecondPostmaster(data: string): void {
  const file = join(data, 'postmaster.pid');
  const pid = Number(linesOf(file)[0]);
  if (!Number.isInteger(pid) || pid <= 0) return;
  const holder = commandLine(pid);
  if (holder.includes('postgres') && holder.includes(data)) {
    throw new Error(`${data} is in use by process ${pid}: ${holder}`);
  }
  rmSync(file, { force: true });
}

/** The postmaster writes its state into line 8 of its lock file. */
function isReady(data: string): boolean {
  return linesOf(join(data, 'postmaster.pid'))[7]?.trim() === 'ready';
}

function linesOf(file: string): readonly string[] {
  try {
    return readFileSync(file, 'utf8').split('\n');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
}
