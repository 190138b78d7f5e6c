import { Counter, Gauge, oncePerRegistry } from '@millrace/runtime';
import type { PgErrorKind } from './error.ts';

export interface PoolUse {
  readonly total: number;
  readonly idle: number;
  /** Who waits for a connection. */
  readonly waiting: number;
}

/** Pool use and errors of every database of the process, by name. */
export const postgresMetrics = oncePerRegistry((registry) => {
  const pools = new Map<string, () => PoolUse>();
  new Gauge({
    name: 'millrace_postgres_connections',
    help: 'Connections of a pool by state; waiting: requests that wait for one.',
    labelNames: ['database', 'state'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [database, use] of pools) {
        const { total, idle, waiting } = use();
        this.set({ database, state: 'used' }, total - idle);
        this.set({ database, state: 'idle' }, idle);
        this.set({ database, state: 'waiting' }, waiting);
      }
    },
  });
  const errors = new Counter({
    name: 'millrace_postgres_errors_total',
    help: 'Statements and transactions that failed, by kind.',
    labelNames: ['database', 'kind'],
    registers: [registry],
  });
  return {
    opened: (database: string, use: () => PoolUse): void => void pools.set(database, use),
    ended: (database: string): void => void pools.delete(database),
    failed: (database: string, kind: PgErrorKind): void => errors.inc({ database, kind }),
  };
});
