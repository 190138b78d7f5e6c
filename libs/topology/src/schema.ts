/** The control database: which topology is in force, and the history of all before it. */
import type { Migration } from '@millrace/postgres';

export const controlMigrations: readonly Migration[] = [
  {
    id: 'control-0001',
    sql: `
      create table cluster (
        only_row boolean primary key default true check (only_row),
        id uuid not null default gen_random_uuid(),
        slots int not null check (slots between 1 and 4096),
        created_at timestamptz not null default now()
      );
      create table topology (
        epoch bigint primary key check (epoch > 0),
        owners text[] not null check (cardinality(owners) > 0),
        created_at timestamptz not null default now(),
        created_by text not null,
        reason text not null
      );
    `,
  },
];
