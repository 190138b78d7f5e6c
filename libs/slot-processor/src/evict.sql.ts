/**
 * Ending the transaction of a writer that stalls while it holds position rows.
 *
 * A process that is paused in the middle of a COPY keeps its locks for as long as it sleeps: the server waits for its
 * bytes, and neither statement_timeout nor idle_in_transaction_session_timeout ends that wait. Termination does. It is
 * safe against a writer that is merely slow, because a turn that loses its connection is run again (W5).
 */
import type { Sql } from '@millrace/postgres';

/** Sessions of this role that sit in a transaction and wait for their client for longer than `stalledMs`. */
export function evictStalled(stalledMs: number): Sql {
  return {
    name: 'stalled-evict',
    text: `select pid, application_name as "application", pg_terminate_backend(pid) as ended
           from pg_stat_activity
           where datname = current_database() and usename = current_user and pid <> pg_backend_pid()
             and wait_event_type = 'Client' and state <> 'idle'
             and xact_start < clock_timestamp() - make_interval(secs => $1::float8 / 1000)`,
    values: [stalledMs],
  };
}

export interface Evicted {
  readonly pid: number;
  readonly application: string;
  readonly ended: boolean;
}
