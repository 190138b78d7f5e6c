/**
 * Which tenant a request speaks for.
 *
 * The presented key is hashed and the hash compared with every known one in constant time. A hash that matched is
 * remembered, because it then tells an attacker nothing: he cannot choose a hash, only a key.
 */
import { hash, timingSafeEqual } from 'node:crypto';
import { unwatchFile, watchFile } from 'node:fs';
import type { Log } from '@millrace/runtime';
import type { Tenant } from '@millrace/write';
import { readKeysFile, type ApiKey } from './keys-file.ts';

export interface ApiKeys {
  /** The tenant of an `Authorization` header; undefined where it is missing, malformed or unknown. */
  tenantOf(authorization: string | undefined): Tenant | undefined;
  /** Reads the file again; a file that cannot be used changes nothing but the alarm. */
  reload(): void;
  stop(): void;
}

const BEARER_PATTERN = /^bearer ([!-~]{1,512})$/i;
const WATCH_INTERVAL_MS = 1_000;

/** @throws Error where the file cannot be used at the start. */
export function createApiKeys({ file, keysMax, log, onReload }: { file: string; keysMax: number; log: Log; onReload(ok: boolean): void }): ApiKeys {
  let keys = readKeysFile(file, keysMax);
  let known = new Map<string, Tenant>();

  function tenantOf(authorization: string | undefined): Tenant | undefined {
    const key = authorization === undefined ? undefined : BEARER_PATTERN.exec(authorization)?.[1];
    if (key === undefined) return undefined;
    const digest = hash('sha256', key, 'hex');
    const remembered = known.get(digest);
    if (remembered !== undefined) return remembered;
    const tenant = findTenant(keys, Buffer.from(digest, 'hex'));
    if (tenant !== undefined) known.set(digest, tenant);
    return tenant;
  }

  function reload(): void {
    try {
      keys = readKeysFile(file, keysMax);
      known = new Map();
      log.info({ file, keys: keys.length }, 'API keys read again');
      onReload(true);
    } catch (error) {
      log.error({ file, error }, 'the API keys file cannot be used: the keys read before stay; mend the file');
      onReload(false);
    }
  }

  const onChange = (now: { mtimeMs: number; size: number; ino: number }, before: { mtimeMs: number; size: number; ino: number }): void => {
    if (now.mtimeMs !== before.mtimeMs || now.size !== before.size || now.ino !== before.ino) reload();
  };
  watchFile(file, { interval: WATCH_INTERVAL_MS, persistent: false }, onChange);
  onReload(true);
  return { tenantOf, reload, stop: () => unwatchFile(file, onChange) };
}

/** Compares with every key, found or not, so that the time tells nothing. */
export function findTenant(keys: readonly ApiKey[], digest: Buffer): Tenant | undefined {
  let found: Tenant | undefined;
  for (const { sha256, tenant } of keys) {
    if (timingSafeEqual(sha256, digest)) found = tenant;
  }
  return found;
}
