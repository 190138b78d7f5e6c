/** Makes a database a shard: its tables, whose it is, and a row for every slot that it owns. Safe to repeat. */
import { domainMigrations, tables } from '@millrace/domain';
import { ensureRoles, migrate, READER_ROLE, WRITER_ROLE, type Database } from '@millrace/postgres';
import type { Log } from '@millrace/runtime';
import { must, type Epoch, type ShardId, type Slot } from '@millrace/write';
import { coreMigrations } from './schema.ts';

export interface ShardIdentity {
  readonly clusterId: string;
  readonly shard: ShardId;
  /** S. */
  readonly slots: number;
}

/** The database already belongs to another cluster, to another shard, or to another number of slots. */
export class ForeignShard extends Error {
  override readonly name = 'ForeignShard';
  readonly code = 'foreign_shard';
  readonly retryable = false;

  constructor(wanted: ShardIdentity, found: ShardIdentity) {
    super(
      `the database given for shard ${wanted.shard} of cluster ${wanted.clusterId} (${wanted.slots} slots) belongs to shard ` +
        `${found.shard} of cluster ${found.clusterId} (${found.slots} slots): give the right address, or an empty database`,
    );
  }
}

/** The tables of the database are not those of this version, or of anything else of ours. */
export class WrongSchema extends Error {
  override readonly name = 'WrongSchema';
  readonly code = 'wrong_schema';
  readonly retryable = false;

  constructor(database: string, found: string) {
    super(`database ${database} ${found}: use a version that knows them, or an empty database`);
  }
}

const MIGRATIONS = [...coreMigrations, ...domainMigrations];

/** Names this lock among all advisory locks of a shard. */
const GRANT_LOCK = 7_034_112_591_407_283_002n;

/** Least privilege: a writer never deletes but what it parked, and changes no slot's state; the gateway only reads. */
const GRANTS = `
  grant select on all tables in schema public to ${READER_ROLE}, ${WRITER_ROLE};
  grant update on position to ${WRITER_ROLE};
  grant insert on journal, changed to ${WRITER_ROLE};
  grant insert, delete on parked to ${WRITER_ROLE};
  grant insert, update on ${tables.map(({ name }) => name).join(', ')} to ${WRITER_ROLE};
`;

/** Reads only. @throws ForeignShard, WrongSchema: not to be a shard of this cluster; PgError where the database does not answer. */
export async function examineShard({ database, identity }: { database: Database; identity: ShardIdentity }): Promise<void> {
  await refuseForeign(database, identity);
  await refuseUnknownMigrations(database);
}

/**
 * What a newer version has done to a shard of this cluster is left alone: during a rolling update the older process must
 * be able to start. A database that is no shard yet must be empty.
 * @throws ForeignShard, WrongSchema, before anything is changed; and PgError where the database does not answer.
 */
export async function prepareShard({ database, identity, log }: { database: Database; identity: ShardIdentity; log: Log }): Promise<void> {
  const known = await refuseForeign(database, identity);
  if (!known) await refuseUnknownMigrations(database);
  await ensureRoles(database);
  await migrate({ database, migrations: MIGRATIONS, log });
  await database.transaction(async (tx) => {
    // Two sessions that grant on one table at once fail with "tuple concurrently updated".
    await tx.query({ text: 'select pg_advisory_xact_lock($1)', values: [GRANT_LOCK] });
    await tx.query({ text: GRANTS });
  });
  await database.query({
    text: 'insert into shard_identity (cluster_id, shard_id, slots) values ($1, $2, $3) on conflict do nothing',
    values: [identity.clusterId, identity.shard, identity.slots],
  });
  // Of two clusters that take one empty database at once, one finds the other's name here.
  await refuseForeign(database, identity);
}

/** True where the database is this shard, false where it is nobody's. */
async function refuseForeign(database: Database, identity: ShardIdentity): Promise<boolean> {
  const found = (await hasTable(database, 'shard_identity')) ? await identityOf(database) : undefined;
  if (found === undefined) return false;
  const same = found.clusterId === identity.clusterId && found.shard === identity.shard && found.slots === identity.slots;
  if (!same) throw new ForeignShard(identity, found);
  return true;
}

async function refuseUnknownMigrations(database: Database): Promise<void> {
  // Before the look for `migration`: what another process migrates meanwhile is then not taken for tables of somebody else.
  const tables = await database.query<{ name: string }>({ text: FOREIGN_TABLES });
  if (await hasTable(database, 'migration')) {
    const known = MIGRATIONS.map(({ id }) => id);
    const unknown = await database.query<{ id: string }>({ text: 'select id from migration where id <> all($1::text[]) order by id', values: [known] });
    if (unknown.length > 0) throw new WrongSchema(database.name, `has migrations that this version does not know: ${unknown.map(({ id }) => id).join(', ')}`);
    return;
  }
  if (tables.length > 0) throw new WrongSchema(database.name, `holds tables of something else: ${tables.map(({ name }) => name).join(', ')}`);
}

/** Tables that no extension brought along; the first few. */
const FOREIGN_TABLES = `
  select relname as name from pg_class c
  where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
    and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
  order by relname limit 5
`;

async function hasTable(database: Database, name: string): Promise<boolean> {
  const rows = await database.query<{ found: boolean }>({ text: 'select to_regclass($1) is not null as found', values: [name] });
  return must(rows[0], 'a select without a table has one row').found;
}

async function identityOf(database: Database): Promise<ShardIdentity | undefined> {
  const rows = await database.query<ShardIdentity>({ text: 'select cluster_id as "clusterId", shard_id as "shard", slots from shard_identity' });
  return rows[0];
}

/** Gives a shard the slots of a cluster's first topology. Slots that it has, or had, are left as they are. */
export async function seedSlots(database: Database, owned: { readonly epoch: Epoch; readonly slots: readonly Slot[] }): Promise<void> {
  await database.transaction(async (tx) => {
    await tx.query({
      text: `insert into slot (slot, state, epoch) select u, 'ACTIVE', $2 from unnest($1::int[]) u on conflict do nothing`,
      values: [owned.slots, owned.epoch],
    });
    await tx.query({
      text: `insert into position (stream, slot) select s, u from unnest(array['writes', 'sagas']::stream[]) s, unnest($1::int[]) u on conflict do nothing`,
      values: [owned.slots],
    });
  });
}
