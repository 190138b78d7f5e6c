/**
 * A whole Millrace on this machine: real brokers, real Postgres, every service, supervised.
 *
 * Started in the order servers, ring-manager, writers, orchestrators and gateways; drained in reverse. While it runs, shards join and
 * leave through the local API. One cluster a directory: a lock says who runs it, `cluster.json` what runs.
 */
import { accessSync, constants, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { must } from '@millrace/write';

import type { Child } from './child.ts';
import { removeClusterFile, type ClusterFile } from './cluster-file.ts';
import { isLock, tryLock, type DirLock } from './dir-lock.ts';
import { stopLeftovers } from './leftovers.ts';
import { startLocalApi, type LocalApi } from './local-api.ts';
import { refuseOthersFiles, removeOwnEntries } from './own-entries.ts';
import { prepare, type Prepared } from './prepare.ts';
import type { Tune } from './services.ts';

export interface LocalClusterOptions {
  /** Where all state lives, `.millrace` by custom. */
  readonly dir: string;
  /** Fixed when the data is made, as are the `brokers`. Default 64. */
  readonly slots?: number;
  /** 1 to 26; default 2. Where there is data already: as many as it has now. */
  readonly shards?: number;
  readonly brokers?: 1 | 3;
  /** Default 1; of several one leads. */
  readonly ringManagers?: number;
  /** Default 1. */
  readonly writers?: number;
  /** Saga-orchestrators. Default 1. */
  readonly orchestrators?: number;
  /** Default 1. */
  readonly gateways?: number;
  /** Of the gateway; another is taken where it is in use. */
  readonly port?: number;
  /** Removes first what clusters have made in the directory; see `refuseOthersFiles` for where it does not. */
  readonly fresh?: boolean;
  /** Default true: a process that ends is started again. */
  readonly supervise?: boolean;
  /** Default true; false for tests that do not prove durability. */
  readonly durable?: boolean;
  readonly progress?: (step: string) => void;
  /** Aborted, it makes the start give up and clean up; it does nothing to a running cluster. */
  readonly signal?: AbortSignal;
  /** Settings for every service. */
  readonly env?: Readonly<Record<string, string>>;
  /** Settings and Node options by instance. */
  readonly tune?: Tune;
}

/** A process of the cluster by its name in cluster.json: `kafka-1`, `control`, `shard-a`, `ring-manager`, `ring-manager-2`, `shard-writer-1`, `saga-orchestrator-1`, `ingest-gateway-1`. */
export type ClusterProcess = Pick<Child, 'name' | 'pid' | 'logFile' | 'start' | 'stop' | 'kill' | 'exited'>;

export interface LocalCluster {
  readonly dir: string;
  /** As it is now. */
  readonly file: ClusterFile;
  /** Of each gateway, ring-manager and saga-orchestrator; the first ones' are in `file` too. */
  readonly gatewayUrls: readonly string[];
  readonly adminUrls: readonly string[];
  readonly sagaUrls: readonly string[];
  /** @throws AssertionFailed for a name that the cluster does not have. */
  process(name: string): ClusterProcess;
  processes(): readonly ClusterProcess[];
  /** Drains everything in reverse order. */
  stop(): Promise<void>;
}

/** Another process runs the cluster of this directory. */
export class ClusterInUse extends Error {
  override readonly name = 'ClusterInUse';
  readonly code = 'cluster_in_use';
  readonly retryable = false;

  constructor(dir: string, pid: number) {
    super(`A cluster runs in ${dir} already, started by process ${pid}: use that one, or stop it first.`);
  }
}

/** The directory belongs to another user. */
export class DirectoryDenied extends Error {
  override readonly name = 'DirectoryDenied';
  readonly code = 'directory_denied';
  readonly retryable = false;

  constructor(dir: string, options: ErrorOptions) {
    super(`${dir} belongs to another user: start as that user, or name another directory (--cluster DIR).`, options);
  }
}

/** Everything up and ready. @throws what failed, after stopping what had started. */
export async function startLocalCluster(options: LocalClusterOptions): Promise<LocalCluster> {
  const dir = resolve(options.dir);
  const progress = options.progress ?? (() => undefined);
  const lock = await takeDirectory(dir, options.fresh ?? false, progress);
  let prepared: Prepared | undefined;
  let api: LocalApi | undefined;
  const stop = async (): Promise<void> => {
    try {
      await Promise.all([api?.close(), prepared?.shards.close()]);
      if (prepared !== undefined) await stopStages(stagesOf(prepared), progress);
      removeClusterFile(dir);
    } finally {
      lock.release();
    }
  };
  try {
    const { shards, describe, localPort, adminToken, services } = (prepared = await prepare(dir, options, progress));
    const children = (): readonly Child[] => (prepared === undefined ? [] : stagesOf(prepared).flat());
    await startStages(stagesOf(prepared), progress, options.signal);
    api = await startLocalApi({ port: localPort, token: adminToken, shards });
    return {
      dir,
      get file() {
        return describe();
      },
      gatewayUrls: services.gatewayUrls,
      adminUrls: services.adminUrls,
      sagaUrls: services.sagaUrls,
      process: (name) => must(children().find((child) => child.name === name), `the cluster has a process ${name}`),
      processes: children,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** What starts together, in order. */
function stagesOf({ servers: { brokers, control }, services: { ringManagers, writers, orchestrators, gateways }, shards }: Prepared): Child[][] {
  return [[...brokers, control, ...shards.servers], [...ringManagers], [...writers, ...orchestrators, ...gateways]];
}

async function startStages(
  stages: readonly Child[][],
  progress: (step: string) => void,
  signal?: AbortSignal,
): Promise<void> {
  for (const stage of stages) {
    signal?.throwIfAborted();
    progress(`starting ${stage.map((child) => child.name).join(', ')}`);
    // A child that is stopped while it starts fails its start, and that ends the wait.
    const giveUp = (): void => void Promise.allSettled(stage.map((child) => child.stop()));
    signal?.addEventListener('abort', giveUp, { once: true });
    const started = await Promise.allSettled(stage.map((child) => child.start()));
    signal?.removeEventListener('abort', giveUp);
    const failed = started.find((one) => one.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }
}

/** In reverse; gateways before writers, so that what was acknowledged last is still applied. */
async function stopStages(stages: readonly Child[][], progress: (step: string) => void): Promise<void> {
  const order = stages.toReversed().map((stage) => stage.toReversed());
  for (const stage of order.flatMap(separateServices)) {
    const running = stage.filter((child) => child.pid !== undefined);
    if (running.length > 0) progress(`stopping ${running.map((child) => child.name).join(', ')}`);
    await Promise.all(stage.map((child) => child.stop()));
  }
}

function separateServices(stage: readonly Child[]): readonly (readonly Child[])[] {
  const isGateway = (child: Child): boolean => child.name.startsWith('ingest-gateway');
  return [stage.filter(isGateway), stage.filter((child) => !isGateway(child))];
}

/** The directory for this process alone, without leftovers. @throws ClusterInUse, DirectoryDenied, DirectoryNotACluster */
async function takeDirectory(dir: string, fresh: boolean, progress: (step: string) => void): Promise<DirLock> {
  mkdirSync(dir, { recursive: true });
  refuseForeign(dir);
  refuseOthersFiles(dir, fresh);
  const lock = tryLock(join(dir, 'lock'));
  if (!isLock(lock)) throw new ClusterInUse(dir, lock.pid);
  try {
    const { stopped, damaged } = await stopLeftovers(dir);
    if (stopped.length > 0) progress(`stopped what an earlier start had left behind: ${stopped.join(', ')}`);
    if (damaged) progress(`removed cluster.json of an earlier start: it is damaged. What that start may have left running shows in: ps ax | grep ${dir}`);
    if (!fresh) return lock;
    progress(`removing the data in ${dir}`);
    removeOwnEntries(dir);
    return lock;
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** Root's data in a user's clone, for example. */
function refuseForeign(dir: string): void {
  try {
    accessSync(dir, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw new DirectoryDenied(dir, { cause });
  }
}
