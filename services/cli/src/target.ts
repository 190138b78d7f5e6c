/** Which cluster a command talks to: the one of `--cluster DIR`, of the environment, or of the nearest `.millrace`. */
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

import { readClusterFile, type ClusterFile } from '@millrace/local-cluster';

import type { Config } from './config.ts';
import { UsageError } from './usage-error.ts';

export interface Target {
  readonly kafkaBrokers: readonly string[];
  readonly topicPrefix: string;
  readonly controlUrl: string;
  readonly shardsFile: string;
  /** Absent where only the servers are known. */
  readonly gateway?: Gateway;
  /** Set for a local cluster. */
  readonly local?: ClusterFile;
}

export interface Gateway {
  readonly url: string;
  readonly apiKey: string;
  readonly tenant: string;
}

export const CLUSTER_DIR = '.millrace';

/** @throws UsageError that says how to name a cluster. */
export function findTarget(dir: string | undefined, config: Config, cwd = process.cwd()): Target {
  if (dir !== undefined) return localTarget(resolve(cwd, dir));
  const named = namedTarget(config);
  if (named !== undefined) return named;
  const found = findUpwards(cwd);
  if (found !== undefined) return localTarget(found);
  throw new UsageError(
    `No cluster: there is no ${CLUSTER_DIR}/cluster.json in ${cwd} or above it. Start one (npm start), name its ` +
      'directory (--cluster DIR), or set KAFKA_BROKERS, CONTROL_URL and SHARDS_FILE.',
  );
}

/** The gateway of a target. @throws UsageError where it has none. */
export function gatewayOf({ gateway }: Target): Gateway {
  if (gateway === undefined) throw new UsageError('This needs a gateway: set GATEWAY_URL, API_KEY and TENANT.');
  return gateway;
}

/** The target of a local cluster that runs in the directory. */
export function localTarget(dir: string): Target {
  const file = readClusterFile(dir);
  if (file === undefined) throw new UsageError(`No cluster runs in ${dir}: there is no cluster.json. Start it: npm start`);
  return {
    kafkaBrokers: file.kafka,
    topicPrefix: file.topicPrefix,
    controlUrl: file.control,
    shardsFile: join(dir, 'config', 'shards-reader.json'),
    gateway: { url: file.gateway, apiKey: file.apiKey, tenant: file.tenant },
    local: file,
  };
}

function namedTarget(config: Config): Target | undefined {
  const { kafkaBrokers, controlUrl, shardsFile, topicPrefix, gatewayUrl: url, apiKey, tenant } = config;
  if (kafkaBrokers === undefined || controlUrl === undefined || shardsFile === undefined) return undefined;
  const gateway = url !== undefined && apiKey !== undefined && tenant !== undefined ? { url, apiKey, tenant } : undefined;
  return { kafkaBrokers, controlUrl, shardsFile, topicPrefix, gateway };
}

function findUpwards(from: string): string | undefined {
  for (let at = resolve(from); ; at = dirname(at)) {
    const dir = join(at, CLUSTER_DIR);
    if (existsSync(join(dir, 'cluster.json'))) return dir;
    if (at === dirname(at)) return undefined;
  }
}
