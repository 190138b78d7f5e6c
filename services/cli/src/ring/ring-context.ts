/** What every ring command gets: the ring-manager to ask, and on a local cluster the supervisor too. */
import { readFileSync } from 'node:fs';

import { InvalidArgumentError, Option, type Command } from 'commander';

import { configOf } from '../config.ts';
import { contextOf } from '../context.ts';
import type { Output } from '../output.ts';
import { UsageError } from '../usage-error.ts';
import { createAdminClient, type AdminClient } from './admin-client.ts';
import type { Endpoint } from './call.ts';
import { createLocalShards, type LocalShards } from './local-client.ts';

export interface RingContext {
  readonly output: Output;
  readonly isJson: boolean;
  readonly admin: AdminClient;
  /** Undefined for a cluster that runs elsewhere. */
  readonly local: LocalShards | undefined;
}

interface AdminOptions {
  readonly admin?: string;
  readonly adminTokenFile?: string;
}

const WHERE =
  'Start a local cluster (npm start), name its directory (--cluster DIR), or name the ring-manager of another one: ' +
  '--admin URL and --admin-token-file FILE, or ADMIN_URL and ADMIN_TOKEN_FILE.';

export function addAdminOptions(ring: Command): Command {
  return ring
    .addOption(new Option('--admin <url>', 'the admin API of a ring-manager (default: ADMIN_URL, or that of the local cluster)').argParser(httpUrl))
    .addOption(new Option('--admin-token-file <file>', 'the file that holds its token (default: ADMIN_TOKEN_FILE)'));
}

/** @throws UsageError that says how to name a cluster. */
export function ringContextOf(command: Command): RingContext {
  const { output, isJson, clusterDir, target } = contextOf(command);
  const options = command.optsWithGlobals<AdminOptions>();
  const { adminUrl, adminTokenFile } = configOf(process.env);
  // A directory that is named goes before the environment, as for the other commands.
  const url = options.admin ?? (clusterDir === undefined ? adminUrl : undefined);
  if (url !== undefined) return { output, isJson, admin: createAdminClient(remoteEndpoint(url, options.adminTokenFile ?? adminTokenFile)), local: undefined };
  const { local } = target();
  if (local === undefined) throw new UsageError(`This needs the admin API of a ring-manager. ${WHERE}`);
  const admin = createAdminClient({ url: local.admin, token: local.adminToken, name: 'The ring-manager' });
  return { output, isJson, admin, local: createLocalShards({ url: local.local, token: local.adminToken, name: 'The local supervisor' }) };
}

function remoteEndpoint(url: string, file: string | undefined): Endpoint {
  if (file === undefined) throw new UsageError('The admin API takes a token: --admin-token-file FILE, or ADMIN_TOKEN_FILE.');
  try {
    return { url, token: readFileSync(file, 'utf8').trim(), name: 'The ring-manager' };
  } catch (cause) {
    throw new UsageError(`The token cannot be read: ${String(cause)}`, { cause });
  }
}

/** For commander: an address with its scheme. */
function httpUrl(text: string): string {
  if (/^https?:\/\/[^/\s]+/.test(text) && URL.canParse(text)) return text;
  throw new InvalidArgumentError('Expected a URL such as http://ring-manager:8081.');
}
