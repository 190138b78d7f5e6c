/** The two roles that services log in as, or are members of; the ring-manager owns the tables. */
import type { Database } from './database.ts';

/** Reads and writes rows: shard-writer, and what runs other streams. */
export const WRITER_ROLE = 'millrace_writer';
/** Reads rows: ingest-gateway, and people. */
export const READER_ROLE = 'millrace_reader';

/** Makes the roles where they are missing, without the right to log in: an operator gives that, with a password. */
export async function ensureRoles(database: Database): Promise<void> {
  for (const role of [WRITER_ROLE, READER_ROLE]) {
    await database.query({
      text: `do $$ begin
               if not exists (select from pg_roles where rolname = '${role}') then create role ${role} nologin; end if;
             exception when duplicate_object or unique_violation then null; end $$`,
    });
  }
}
