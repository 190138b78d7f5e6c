/** Which API a command talks to, and by which token: as named on the command line, in the environment, or by the local cluster. */
import { readFileSync } from 'node:fs';

import type { ClusterFile } from '@millrace/local-cluster';
import { InvalidArgumentError, Option, type Command } from 'commander';

import { configOf, type Config } from '../config.ts';
import { contextOf } from '../context.ts';
import { UsageError } from '../usage-error.ts';
import type { Endpoint } from './call.ts';

/** A service with an admin API. */
export interface Served {
  /** How messages call it. */
  readonly name: string;
  /** The variable of its address. */
  readonly variable: 'ADMIN_URL' | 'SAGAS_URL';
  readonly example: string;
  readonly urlOf: (config: Config) => string | undefined;
  readonly localUrlOf: (file: ClusterFile) => string;
}

interface EndpointOptions {
  readonly admin?: string;
  readonly adminTokenFile?: string;
}

export function addEndpointOptions(command: Command, { name, variable, example }: Served): Command {
  return command
    .addOption(new Option('--admin <url>', `the admin API of ${name} (default: ${variable}, or that of the local cluster)`).argParser(httpUrl(example)))
    .addOption(new Option('--admin-token-file <file>', 'the file that holds its token (default: ADMIN_TOKEN_FILE)'));
}

/** `local` is set where the local cluster's own is taken. @throws UsageError that says how to name a cluster. */
export function endpointOf(command: Command, served: Served): { readonly endpoint: Endpoint; readonly local: ClusterFile | undefined } {
  const { clusterDir, target } = contextOf(command);
  const options = command.optsWithGlobals<EndpointOptions>();
  const config = configOf(process.env);
  const name = capital(served.name.replace(/^an? /, 'the '));
  // A directory that is named goes before the environment, as for the other commands.
  const url = options.admin ?? (clusterDir === undefined ? served.urlOf(config) : undefined);
  if (url !== undefined) return { endpoint: { url, token: readToken(options.adminTokenFile ?? config.adminTokenFile), name }, local: undefined };
  const { local } = target();
  if (local === undefined) {
    throw new UsageError(
      `This needs the admin API of ${served.name}. Start a local cluster (npm start), name its directory (--cluster DIR), or name that of ` +
        `another one: --admin URL and --admin-token-file FILE, or ${served.variable} and ADMIN_TOKEN_FILE.`,
    );
  }
  return { endpoint: { url: served.localUrlOf(local), token: local.adminToken, name }, local };
}

function readToken(file: string | undefined): string {
  if (file === undefined) throw new UsageError('The admin API takes a token: --admin-token-file FILE, or ADMIN_TOKEN_FILE.');
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (cause) {
    throw new UsageError(`The token cannot be read: ${String(cause)}`, { cause });
  }
}

/** For commander: an address with its scheme. */
function httpUrl(example: string): (text: string) => string {
  return (text) => {
    if (/^https?:\/\/[^/\s]+/.test(text) && URL.canParse(text)) return text;
    throw new InvalidArgumentError(`Expected a URL such as ${example}.`);
  };
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
