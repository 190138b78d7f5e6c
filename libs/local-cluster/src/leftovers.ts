/**
 * What a killed supervisor may have left behind. Its watchdog stops it; where that was killed too, the next start
 * does, and only what cluster.json names by pid and start time and what looks like a part of this cluster.
 */
import { commandLine, isRunning, signal } from './proc.ts';
import { readClusterFile, removeClusterFile } from './cluster-file.ts';
import { servicesDir } from './service.ts';
import { until } from './wait.ts';

const GRACE_MS = 20_000;
const SIGNALS: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGINT', 'SIGQUIT'];

/** Stops them in the order of a drain; resolves to their names. The caller holds the cluster's lock. */
export async function stopLeftovers(dir: string): Promise<readonly string[]> {
  const left = (readClusterFile(dir)?.processes ?? []).filter(
    (one) => isRunning(one) && looksOurs(commandLine(one.pid), dir),
  );
  for (const one of left) {
    signal(one.pid, 'SIGCONT');
    signal(one.pid, SIGNALS.find((name) => name === one.stopSignal) ?? 'SIGTERM');
    const gone = (): boolean => !isRunning(one);
    await until(gone, { timeoutMs: GRACE_MS, what: one.name }).catch(() => signal(one.pid, 'SIGKILL'));
    await until(gone, { timeoutMs: GRACE_MS, what: `${one.name} (process ${one.pid}) to die` });
  }
  removeClusterFile(dir);
  return left.map((one) => one.name);
}

function looksOurs(command: string, dir: string): boolean {
  return command.includes(dir) || command.includes(servicesDir);
}
