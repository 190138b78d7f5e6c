/** Resident memory of services while something is under way. */
import type { Service } from '@millrace/local-cluster';
import { residentBytesOf } from './usage.ts';

export const SAMPLE_MS = 500;

export interface Samples {
  readonly seconds: number;
  /** In MiB, by name. */
  readonly byName: Readonly<Record<string, readonly number[]>>;
}

/** Samples the services while the work is under way. @throws Error where one of them ends meanwhile. */
export async function sampled(services: Readonly<Record<string, Service>>, work: () => Promise<unknown>): Promise<Samples> {
  const byName: Record<string, number[]> = Object.fromEntries(Object.keys(services).map((name) => [name, []]));
  const startedAt = performance.now();
  const timer = setInterval(() => {
    for (const [name, { pid }] of Object.entries(services)) {
      const bytes = pid === undefined ? undefined : residentBytesOf(pid);
      if (bytes !== undefined) byName[name]?.push(bytes / 2 ** 20);
    }
  }, SAMPLE_MS);
  const pids = Object.values(services).map(({ pid }) => pid);
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
  if (Object.values(services).some(({ pid }, index) => pid !== pids[index])) throw new Error('a service ended under load');
  return { seconds: (performance.now() - startedAt) / 1000, byName };
}
