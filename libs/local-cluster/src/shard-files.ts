/** `config/shards-ROLE.json`: the shards' addresses as the services of a role know them, each with its own password. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { writeJson } from './atomic-file.ts';
import type { Postgres } from './postgres.ts';
import type { Shard } from './servers.ts';

export type Role = 'owner' | 'writer' | 'reader';

const ROLES: readonly Role[] = ['owner', 'writer', 'reader'];

/** Each file is replaced whole: a service that reads it meanwhile finds the old one or the new one. */
export function writeShardsFiles(configDir: string, shards: readonly Shard[]): void {
  mkdirSync(configDir, { recursive: true });
  for (const role of ROLES) {
    writeJson(shardsFileOf(configDir, role), Object.fromEntries(shards.map(({ id, postgres }) => [id, urlOf(postgres, role)])));
  }
}

export function shardsFileOf(configDir: string, role: Role): string {
  return join(configDir, `shards-${role}.json`);
}

export function urlOf(postgres: Postgres, role: Role): string {
  switch (role) {
    case 'owner':
      return postgres.url;
    case 'writer':
      return postgres.writerUrl;
    case 'reader':
      return postgres.readerUrl;
  }
}
