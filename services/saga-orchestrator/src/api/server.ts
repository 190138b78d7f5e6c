/** The admin API of a saga-orchestrator. */
import { startAdmin } from '@millrace/admin';
import { createShards, type TopologyFollower } from '@millrace/topology';
import { PgError } from '@millrace/postgres';
import type { Life, Log } from '@millrace/runtime';
import type { Lanes } from '@millrace/kafka';
import { problem } from '@millrace/wire';
import { onDrainWithin } from '@millrace/slot-processor';
import { ADMIN_CLOSE_MS, ASKING_CLOSE_MS, ASKING_POOL } from '../limits.ts';
import { routesOf } from './routes.ts';

const ABOUT = {
  title: 'Millrace saga-orchestrator',
  description: 'Orders across shards, returns and transfers while they are under way: see what each waits for, have it sent again, or cancel it. Any orchestrator answers, for all of them.',
  problems: [],
} as const;

export interface SagaApiInput {
  readonly life: Pick<Life, 'onDrain'>;
  readonly log: Log;
  readonly host: string;
  readonly port: number;
  readonly token: string;
  readonly shardsFile: string;
  readonly instance: string;
  readonly topology: Pick<TopologyFollower, 'current'>;
  /** Of stream `sagas`. */
  readonly lanes: Pick<Lanes, 'send'>;
}

/** Serves until the drain. @throws the system's error where the port cannot be taken. */
export async function startSagaApi({ life, log, host, port, token, shardsFile, instance, topology, lanes }: SagaApiInput): Promise<{ readonly port: number }> {
  const shards = createShards({ file: shardsFile, log, settings: { ...ASKING_POOL, applicationName: `${instance} admin` } });
  onDrainWithin(life, 'shards of the admin API', ASKING_CLOSE_MS, () => shards.end());
  const problemOf = (error: unknown) => (error instanceof PgError && error.kind === 'infrastructure' ? problem('shard_unavailable', `shard ${error.database}`) : undefined);
  const api = await startAdmin({ host, port, token, log, about: ABOUT, problemOf, routes: routesOf({ shards, topology, lanes }) });
  onDrainWithin(life, 'admin', ADMIN_CLOSE_MS, () => api.close());
  return api;
}
