/**
 * A new Postgres cluster: initdb, then roles and database through a single-user backend, which needs neither a port
 * nor a client. What the roles may do to the tables is the migrations' to grant. The data directory appears by a
 * rename when all of it is done.
 */
import { execFile, spawn } from 'node:child_process';
import { chmodSync, existsSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import type { PostgresUser } from './postgres-user.ts';

export const DATABASE = 'millrace';
export const SUPERUSER = 'postgres';
export const WRITER = 'millrace_writer';
export const READER = 'millrace_reader';

export interface Passwords {
  readonly superuser: string;
  readonly writer: string;
  readonly reader: string;
}

/** Makes `home/data` where it is not there. */
export async function ensureData(user: PostgresUser, passwords: Passwords, durable: boolean): Promise<string> {
  const data = join(user.home, 'data');
  if (existsSync(data)) return data;
  const draft = join(user.home, 'data.part');
  rmSync(draft, { recursive: true, force: true });
  await initdb({ user, draft, password: passwords.superuser, durable });
  await single(user, draft, 'postgres', [
    `create role ${WRITER} login password ${quoted(passwords.writer)}`,
    `create role ${READER} login password ${quoted(passwords.reader)}`,
    `create database ${DATABASE}`,
  ]);
  await single(user, draft, DATABASE, [
    `revoke all on database ${DATABASE} from public`,
    `grant connect, temporary on database ${DATABASE} to ${WRITER}`,
    `grant connect on database ${DATABASE} to ${READER}`,
  ]);
  renameSync(draft, data);
  return data;
}

interface Initdb {
  readonly user: PostgresUser;
  readonly draft: string;
  readonly password: string;
  readonly durable: boolean;
}

async function initdb({ user, draft, password, durable }: Initdb): Promise<void> {
  const pwfile = join(user.home, 'initdb.pw');
  writeFileSync(pwfile, `${password}\n`, { mode: 0o600 });
  try {
    user.own(pwfile);
    const options = ['--username', SUPERUSER, '--encoding', 'UTF8', '--locale', 'C', '--auth', 'scram-sha-256'];
    const sync = durable ? [] : ['--no-sync'];
    const args = ['-D', draft, '--pwfile', pwfile, ...options, '--data-checksums', '--no-instructions', ...sync];
    const { command, args: all, uid, gid } = user.as(user.binaries.initdb, args);
    await promisify(execFile)(command, [...all], { uid, gid, env: localeOf(process.env) });
    chmodSync(draft, 0o700);
  } finally {
    rmSync(pwfile, { force: true });
  }
}

/** One statement a line; the first that fails ends the backend (exit_on_error). */
async function single(user: PostgresUser, data: string, database: string, lines: readonly string[]): Promise<void> {
  const options = ['--single', '-D', data, '-c', 'exit_on_error=on', '-c', 'log_min_messages=error', database];
  const { command, args, uid, gid } = user.as(user.binaries.postgres, options);
  const backend = spawn(command, [...args], { uid, gid, stdio: ['pipe', 'ignore', 'pipe'], env: localeOf(process.env) });
  let said = '';
  backend.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  backend.stdin.on('error', () => undefined); // the exit code tells
  backend.stdin.end(`${lines.join('\n')}\n`);
  const code = await new Promise<number | null>((resolve, reject) => {
    backend.once('error', reject);
    backend.once('close', resolve);
  });
  if (code !== 0) throw new Error(`Postgres could not set up ${data} (code ${code}):\n${said.trim()}`);
}

/** The host may name locales that it does not have. */
export function localeOf(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return { PATH: env['PATH'], HOME: env['HOME'], LC_ALL: 'C', TZ: 'UTC' };
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
