/** `cluster.json`: every address and process of a running local cluster, for scripts, tests and operators. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';

import { z } from 'zod';

import { readJson, writeJson } from './atomic-file.ts';

/** A process that is down at the moment has the pid null; the supervisor is about to start it again. */
const pid = z.int().nullable();

const schema = z.object({
  gateway: z.string(),
  admin: z.string(),
  /** The admin API of a saga-orchestrator. */
  sagas: z.string(),
  /** Of the supervisor: it starts and stops the Postgres of a shard. The admin token opens it. */
  local: z.string(),
  apiKey: z.string(),
  adminToken: z.string(),
  tenant: z.string(),
  kafka: z.array(z.string()),
  control: z.string(),
  controlPid: pid,
  slots: z.int(),
  topicPrefix: z.string(),
  shards: z.array(z.object({ id: z.string(), url: z.string(), pid })),
  services: z.array(z.object({ name: z.string(), pid, metrics: z.string() })),
  brokers: z.array(z.object({ id: z.int(), pid, port: z.int() })),
  supervisor: z.object({ pid: z.int(), startTicks: z.number() }),
  /** Enough to recognise each process later, in the order in which they are to be stopped. */
  processes: z.array(z.object({ name: z.string(), pid: z.int(), startTicks: z.number(), stopSignal: z.string() })),
});
/** Whatever else another version has written. */
const processesOnly = schema.pick({ processes: true });

export type ClusterFile = z.infer<typeof schema>;

/** The file in a cluster's directory; undefined where no cluster runs. */
export function readClusterFile(dir: string): ClusterFile | undefined {
  return readJson(fileOf(dir), schema);
}

/** What a start that did not end in order has left running; 'damaged' where the file does not tell. */
export function readProcesses(dir: string): ClusterFile['processes'] | 'damaged' {
  try {
    return readJson(fileOf(dir), processesOnly)?.processes ?? [];
  } catch {
    return 'damaged'; // cut off, or not ours: the caller says so
  }
}

export function writeClusterFile(dir: string, file: ClusterFile): void {
  writeJson(fileOf(dir), file);
}

export function removeClusterFile(dir: string): void {
  rmSync(fileOf(dir), { force: true });
}

function fileOf(dir: string): string {
  return join(dir, 'cluster.json');
}
