/** Keys and passwords of a local cluster, made once: `secrets.json`, for the owner's eyes. */
import { hash, randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { z } from 'zod';

import { readJson, writeJson, writeWhole } from './atomic-file.ts';
import type { Passwords } from './postgres-init.ts';
import { newPasswords } from './postgres.ts';

export const TENANT = 'demo';

export interface Secrets {
  readonly apiKey: string;
  readonly adminToken: string;
  /** By the name of the server. */
  readonly passwords: Readonly<Record<string, Passwords>>;
}

const schema = z.object({
  apiKey: z.string(),
  adminToken: z.string(),
  passwords: z.record(z.string(), z.object({ superuser: z.string(), writer: z.string(), reader: z.string() })),
});

/** The secrets of the directory, completed for these servers. */
export function secretsOf(dir: string, servers: readonly string[]): Secrets {
  const file = join(dir, 'secrets.json');
  const kept = readJson<Secrets>(file, schema) ?? { apiKey: newKey('mr'), adminToken: newKey('mra'), passwords: {} };
  const missing = servers.filter((name) => kept.passwords[name] === undefined);
  if (missing.length === 0) return kept;
  const fresh = Object.fromEntries(missing.map((name) => [name, newPasswords()]));
  const secrets = { ...kept, passwords: { ...kept.passwords, ...fresh } };
  writeJson(file, secrets);
  return secrets;
}

export interface KeyFiles {
  readonly apiKeysFile: string;
  readonly adminTokenFile: string;
}

/** The files by which the services know the keys: the gateway is told hashes only. */
export function writeKeyFiles(dir: string, { apiKey, adminToken }: Secrets): KeyFiles {
  mkdirSync(dir, { recursive: true });
  const files = { apiKeysFile: join(dir, 'api-keys.json'), adminTokenFile: join(dir, 'admin-token') };
  writeJson(files.apiKeysFile, { keys: [{ sha256: hash('sha256', apiKey, 'hex'), tenant: TENANT }] });
  writeWhole(files.adminTokenFile, `${adminToken}\n`);
  return files;
}

function newKey(prefix: string): string {
  return `${prefix}_${randomBytes(24).toString('base64url')}`;
}
