/**
 * What a killed supervisor may have left behind. Its watchdog stops it; where that was killed too, the next start
 * does, and only what cluster.json names by pid and start time and what looks like a part of this cluster.
 */
import { commandLine, isRunning, signal } from './proc.ts';
import { readProcesses, removeClusterFile } from './cluster-file.ts';
import { servicesDir } from './service.ts';
import { until } from './wait.ts';

const GRACE_MS = 20_000;
const SIGNALS: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGINT', 'SIGQUIT'];

export interface Leftovers {
  /** Names of processes. */
  readonly stopped: readonly string[];
  /** cluster.json was there and told nothing; it is removed. */
  readonly damaged: boolean;
}

/** Stops them in the order of a drain. The caller holds the cluster's lock. */
export async function stopLeftovers(dir: string): Promise<Leftovers> {
  const known = readProcesses(dir);
  const left = known === 'damaged' ? [] : known.filter((one) => isRunning(one) && looksOurs(commandLine(one.pid), dir));
  for (const one of left) {
    signal(one.pid, 'SIGCONT');
    signal(one.pid, SIGNALS.find((name) => name === one.stopSignal) ?? 'SIGTERM');
    const gone = (): boolean => !isRunning(one);
    await until(gone, { timeoutMs: GRACE_MS, what: one.name }).catch(() => signal(one.pid, 'SIGKILL'));
    await until(gone, { timeoutMs: GRACE_MS, what: `${one.name} (process ${one.pid}) to die` });
  }
  removeClusterFile(dir);
  return { stopped: left.map((one) => one.name), damaged: known === 'damaged' };
}

function looksOurs(command: string, dir: string): boolean {
  return command.includes(dir) || command.includes(servicesDir);
}
