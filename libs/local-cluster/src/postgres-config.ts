/** postgresql.conf of a local shard; written anew at each start. */

export interface PostgresConfig {
  readonly port: number;
  /** False only where nothing that a test proves depends on surviving a crash of the machine. */
  readonly durable: boolean;
  readonly overrides?: Readonly<Record<string, string>>;
}

export function postgresqlConf({ port, durable, overrides }: PostgresConfig): string {
  const settings: Record<string, string | number> = {
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: '',
    max_connections: 100,
    password_encryption: 'scram-sha-256',

    fsync: durable ? 'on' : 'off',
    synchronous_commit: durable ? 'on' : 'off',
    full_page_writes: durable ? 'on' : 'off',

    shared_buffers: '192MB',
    effective_cache_size: '512MB',
    work_mem: '8MB',
    maintenance_work_mem: '64MB',
    // Checkpoints by time, not by volume, under a load test; recycled segments instead of new ones.
    min_wal_size: '256MB',
    max_wal_size: '2GB',
    checkpoint_timeout: '5min',
    wal_compression: 'on',
    // Two-phase commit needs slots for prepared transactions.
    max_prepared_transactions: 64,
    // Short statements by the thousand: compiling one, or starting helpers for it, costs more than it saves.
    jit: 'off',
    max_parallel_workers_per_gather: 0,

    timezone: 'UTC',
    log_timezone: 'UTC',
    log_line_prefix: '%m [%p] %a ',
    log_min_messages: 'warning',
    log_checkpoints: 'off',
    ...overrides,
  };
  return Object.entries(settings)
    .map(([key, value]) => `${key} = '${value}'\n`)
    .join('');
}
