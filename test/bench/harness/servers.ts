/** The servers that all sides share: one broker and one Postgres a shard, configured as the local cluster does. */
import { join } from 'node:path';
import { startBroker, startPostgres, type Broker, type Postgres } from '@millrace/local-cluster';
import { must } from '@millrace/write';
import { cpuSecondsOf } from './usage.ts';

export interface Servers {
  readonly brokers: readonly string[];
  readonly postgres: readonly string[];
  /** Stops the server of that number as an operator would, its data kept, or starts it again at its address. */
  readonly stopPostgres: (server: number) => Promise<void>;
  readonly startPostgres: (server: number) => Promise<void>;
  readonly cpuSeconds: () => { readonly broker: number; readonly postgres: number };
  readonly stop: () => Promise<void>;
}

export async function startServers({ dir, logDir }: { dir: string; logDir: string }): Promise<Servers> {
  const broker = await startBroker({ dir: join(dir, 'kafka'), logDir });
  const postgres = await Promise.all(
    ['a', 'b'].map((name) => startPostgres({ name: `postgres-${name}`, dir: join(dir, 'postgres', name), logDir })),
  );
  return {
    brokers: [broker.address],
    postgres: postgres.map((one) => one.url),
    stopPostgres: (server) => must(postgres[server], 'there is such a server').stop(),
    startPostgres: (server) => must(postgres[server], 'there is such a server').start(),
    cpuSeconds: () => ({ broker: cpuOf(broker), postgres: postgres.reduce((sum, one) => sum + cpuOf(one), 0) }),
    stop: async () => {
      await Promise.all([broker, ...postgres].map((one) => one.stop()));
    },
  };
}

function cpuOf(server: Broker | Postgres): number {
  return server.pid === undefined ? 0 : cpuSecondsOf(server.pid);
}
