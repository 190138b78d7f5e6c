/**
 * Postgres refuses to run as root. An ordinary user runs it plainly. Root runs it, in this order, as the owner of the
 * directory where that is an ordinary user; inside a user namespace where it looks like an ordinary user to itself;
 * as a system user with the data outside of root's own directories.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chownSync, cpSync, existsSync, mkdirSync, readFileSync, realpathSync, renameSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';

import { must } from '@millrace/write';

import type { PostgresBinaries } from './postgres-binaries.ts';

export interface PostgresUser {
  /** Where the data lives: the directory asked for, or the one that stands in for it. */
  readonly home: string;
  readonly binaries: PostgresBinaries;
  /** How to run a program as this user. */
  as(program: string, args: readonly string[]): Invocation;
  /** Gives a file or directory of the home to this user. */
  own(path: string): void;
}

export interface Invocation {
  readonly command: string;
  readonly args: readonly string[];
  readonly uid?: number;
  readonly gid?: number;
}

interface Account {
  readonly uid: number;
  readonly gid: number;
}

const FALLBACK_HOME = '/var/lib/millrace';
const STICKY = 0o1000;
/** In the directory asked for: a link to the home that stands in for it. */
const LINK = 'elsewhere';

/** The user that can run these binaries on this directory; makes the directory. */
export async function postgresUser(dir: string, binaries: PostgresBinaries): Promise<PostgresUser> {
  mkdirSync(dir, { recursive: true });
  if (process.getuid?.() !== 0) return plain(dir, binaries);
  const owner = ownerOf(dir);
  if (owner !== undefined) {
    const user = switched(dir, binaries, owner);
    if (await works(user)) return user;
  }
  const namespaced = inNamespace(dir, binaries);
  if (await works(namespaced)) return namespaced;
  const outside = outsideHome(dir, binaries);
  if (await works(outside)) return outside;
  throw new Error(
    'Postgres refuses to run as root, and neither a user namespace (unshare -U) nor a system user works here. ' +
      'Run as an ordinary user.',
  );
}

/** Removes the data of a server that has stopped, also where another directory stands in for this one. */
export function removeHome(dir: string): void {
  const link = join(dir, LINK);
  if (existsSync(link)) rmSync(realpathSync(link), { recursive: true });
  rmSync(dir, { recursive: true, force: true });
}

function plain(home: string, binaries: PostgresBinaries): PostgresUser {
  return { home, binaries, as: (command, args) => ({ command, args }), own: () => undefined };
}

function switched(home: string, binaries: PostgresBinaries, { uid, gid }: Account): PostgresUser {
  return {
    home,
    binaries,
    as: (command, args) => ({ command, args, uid, gid }),
    own: (path) => chownSync(path, uid, gid),
  };
}

function inNamespace(home: string, binaries: PostgresBinaries): PostgresUser {
  const { uid, gid } = must(systemAccounts()[0], 'a system has accounts beside root');
  const unshare = ['-U', `--map-user=${uid}`, `--map-group=${gid}`];
  return {
    home,
    binaries,
    as: (program, args) => ({ command: 'unshare', args: [...unshare, program, ...args] }),
    own: () => undefined, // root's files are the mapped user's
  };
}

/** Data and binaries where a system user can reach them. */
function outsideHome(dir: string, given: PostgresBinaries): PostgresUser {
  const account = must(
    systemAccounts('postgres')[0] ?? systemAccounts('nobody')[0] ?? systemAccounts()[0],
    'a system has accounts beside root',
  );
  const home = join(FALLBACK_HOME, createHash('sha256').update(dir).digest('hex').slice(0, 12), basename(dir));
  const link = join(dir, LINK);
  if (!existsSync(link)) {
    // Of a directory of this name that was removed, or a link whose end was.
    rmSync(home, { recursive: true, force: true });
    rmSync(link, { force: true });
    mkdirSync(home, { recursive: true });
    symlinkSync(home, link);
  }
  chownSync(home, account.uid, account.gid);
  return switched(home, copied(given), account);
}

function copied(given: PostgresBinaries): PostgresBinaries {
  const version = createHash('sha256').update(`${statSync(given.postgres).size}`).digest('hex').slice(0, 12);
  const dir = join(FALLBACK_HOME, `postgres-${version}`);
  if (!existsSync(dir)) {
    const draft = `${dir}.${process.pid}`;
    cpSync(given.dir, draft, { recursive: true, verbatimSymlinks: true });
    renameSync(draft, dir);
  }
  return { dir, initdb: join(dir, 'bin', 'initdb'), postgres: join(dir, 'bin', 'postgres') };
}

/** Whether the user exists for Postgres, reaches its binaries and may write into its home. */
async function works(user: PostgresUser): Promise<boolean> {
  user.own(user.home);
  const probe = join(user.home, `.probe-${process.pid}`);
  const script = '"$1" --version >/dev/null && : > "$2" && rm "$2" && id -un';
  const { command, args, uid, gid } = user.as('/bin/sh', ['-c', script, 'probe', user.binaries.postgres, probe]);
  return await promisify(execFile)(command, args, { uid, gid }).then(
    () => true,
    () => false,
  );
}

/** The ordinary user who owns the directory or the nearest one above it that is not root's. */
function ownerOf(dir: string): Account | undefined {
  for (let at = dir; at !== dirname(at); at = dirname(at)) {
    const { uid, gid, mode } = statSync(at);
    const shared = (mode & STICKY) !== 0; // a directory such as /tmp tells nothing about its users
    if (uid !== 0 && !shared) return { uid, gid };
  }
  return undefined;
}

/** Ordinary accounts of /etc/passwd: Postgres wants its user to have a name. */
function systemAccounts(name?: string): readonly Account[] {
  return readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .filter(([login, , uid]) => uid !== '0' && uid !== undefined && (name === undefined || login === name))
    .map(([, , uid, gid]) => ({ uid: Number(uid), gid: Number(gid) }));
}
