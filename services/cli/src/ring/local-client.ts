/** The local API of a cluster on this machine: it starts and stops the Postgres of a shard. */
import { z } from 'zod';

import { call, type Endpoint } from '../api/call.ts';

export interface LocalShards {
  /** Those whose Postgres the supervisor runs. */
  ids(): Promise<readonly string[]>;
  /** Starts it, and resolves when it answers; nothing to do where it runs. @throws ApiProblem, ApiSilent */
  add(id: string): Promise<void>;
  /** Of a shard that is no member any more. @throws ApiProblem, ApiSilent */
  remove(id: string): Promise<{ readonly data: 'deleted' | 'kept'; readonly reason?: string | undefined }>;
}

/** A new data directory, and on a slow machine the recovery of an old one. */
const START_TIMEOUT_MS = 180_000;
const STOP_TIMEOUT_MS = 60_000;

const removed = z.object({ data: z.enum(['deleted', 'kept']), reason: z.string().optional() });

export function createLocalShards(endpoint: Endpoint): LocalShards {
  return {
    ids: async () => {
      const { shards } = await call(endpoint, { method: 'GET', path: '/shards', answer: z.object({ shards: z.array(z.object({ id: z.string() })) }) });
      return shards.map(({ id }) => id);
    },
    add: async (id) => void (await call(endpoint, { method: 'POST', path: '/shards', body: { id }, answer: z.unknown(), timeoutMs: START_TIMEOUT_MS })),
    remove: (id) => call(endpoint, { method: 'DELETE', path: `/shards/${id}`, answer: removed, timeoutMs: STOP_TIMEOUT_MS }),
  };
}
