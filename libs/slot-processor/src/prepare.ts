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

/** Least privilege: a writer never deletes but what it parked, and changes no slot's state; the gateway only reads. */
const GRANTS = `
  grant select on all tables in schema public to ${READER_ROLE}, ${WRITER_ROLE};
  grant update on position to ${WRITER_ROLE};
  grant insert on journal to ${WRITER_ROLE};
  grant insert, delete on parked to ${WRITER_ROLE};
  grant insert, update on ${tables.map(({ name }) => name).join(', ')} to ${WRITER_ROLE};
`;

/** @throws ForeignShard, and PgError where the database does not answer. */
export async function prepareShard({ database, identity, log }: { database: Database; identity: ShardIdentity; log: Log }): Promise<void> {
  await ensureRoles(database);
  await migrate({ database, migrations: [...coreMigrations, ...domainMigrations], log });
  await database.query({ text: GRANTS });
  await database.query({
    text: 'insert into shard_identity (cluster_id, shard_id, slots) values ($1, $2, $3) on conflict do nothing',
    values: [identity.clusterId, identity.shard, identity.slots],
  });
  const rows = await database.query<ShardIdentity>({ text: 'select cluster_id as "clusterId", shard_id as "shard", slots from shard_identity' });
  const found = must(rows[0], 'the identity was inserted before');
  if (found.clusterId !== identity.clusterId || found.shard !== identity.shard || found.slots !== identity.slots) throw new ForeignShard(identity, found);
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
