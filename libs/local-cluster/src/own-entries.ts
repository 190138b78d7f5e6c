/**
 * What a cluster makes in its directory, by name, and the removal of just that: a directory can be given by mistake,
 * and nothing that another hand put there is ever removed.
 */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { hasLayout } from './layout.ts';

const LOCK = 'lock';
const DATA = ['cluster.json', 'config', 'kafka', 'layout.json', 'logs', 'postgres', 'secrets.json'];
/** A writer that was killed leaves its draft. */
const DATA_DRAFT = /^(cluster|layout|secrets)\.json\.\d+\.part$/;
const LOCK_DRAFT = /^lock\.\d+$/;
/** The benchmarks keep theirs in `.millrace` too, and remove it themselves. */
const NEIGHBOUR = 'bench';

/** A directory that holds files of others, and no cluster, is not one to begin in, and not one to begin anew in. */
export class DirectoryNotACluster extends Error {
  override readonly name = 'DirectoryNotACluster';
  readonly code = 'directory_not_a_cluster';
  readonly retryable = false;

  constructor(dir: string, entry: string, fresh: boolean) {
    const why = fresh ? `--fresh removes the data of a cluster, and ${dir} does not hold one` : `${dir} does not hold a cluster, and is not empty`;
    super(`${why}: it has no layout.json of Millrace, but ${entry}. Nothing was changed. Name an empty or a new directory (--cluster DIR).`);
  }
}

/**
 * Without a layout.json the directory may hold only names that a cluster makes: those of a start that failed before
 * it wrote one. @throws DirectoryNotACluster
 */
export function refuseOthersFiles(dir: string, fresh: boolean): void {
  if (hasLayout(dir)) return;
  const other = readdirSync(dir).find((name) => !isKnown(name));
  if (other !== undefined) throw new DirectoryNotACluster(dir, other, fresh);
}

/** Everything that a cluster has made but the lock, which the caller holds. */
export function removeOwnEntries(dir: string): void {
  for (const name of readdirSync(dir).filter(isData)) rmSync(join(dir, name), { recursive: true });
}

function isData(name: string): boolean {
  return DATA.includes(name) || DATA_DRAFT.test(name);
}

function isKnown(name: string): boolean {
  return isData(name) || name === LOCK || LOCK_DRAFT.test(name) || name === NEIGHBOUR;
}
