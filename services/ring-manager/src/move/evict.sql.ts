/**
 * Ending the sessions that hold up a mover and sleep: a mover or a writer that is paused in the middle of a transaction
 * keeps its locks for as long as it is paused, past every timeout of the server's (see `evict.sql.ts` of the slot
 * processor). Only those that the mover waits for, itself or through others, are ended, and only those that wait for
 * their client: what they did is rolled back, and whoever is merely slow does it again.
 */
import type { Sql } from '@millrace/postgres';

/** Whose locks the session `pid` waits for, where they sleep for longer than `stalledMs` and this role may end them. */
export function evictBlockers(pid: number, stalledMs: number): Sql {
  return {
    name: 'mover-evict',
    text: `with recursive blocking(pid) as (
             select unnest(pg_blocking_pids($1))
             union
             select unnest(pg_blocking_pids(b.pid)) from blocking b
           )
           select a.pid, a.application_name as "application", pg_terminate_backend(a.pid) as ended
           from blocking join pg_stat_activity a using (pid)
           where a.wait_event_type = 'Client' and a.state <> 'idle' and pg_has_role(a.usesysid, 'usage')
             and a.xact_start < clock_timestamp() - make_interval(secs => $2::float8 / 1000)`,
    values: [pid, stalledMs],
  };
}

export interface Evicted {
  readonly pid: number;
  readonly application: string;
  readonly ended: boolean;
}
