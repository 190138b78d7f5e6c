/** The control database: the topology and its history, the members, who leads, plans and moves, and who did what. */
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
  {
    id: 'control-0002',
    sql: `
      create table member (
        shard text primary key,
        state text not null check (state in ('joining', 'active', 'draining', 'gone')),
        weight double precision not null default 1 check (weight > 0 and weight <= 1000),
        created_at timestamptz not null default now(),
        changed_at timestamptz not null default now()
      );

      -- One ring-manager leads. The token rises with every leader: it fences what a former one still does (R5).
      create table lease (
        only_row boolean primary key default true check (only_row),
        holder text not null,
        token bigint not null,
        expires_at timestamptz not null
      );

      create table plan (
        id bigint generated always as identity primary key,
        state text not null check (state in ('preview', 'running', 'paused', 'done', 'aborting', 'aborted')),
        base_epoch bigint not null references topology,
        by text not null check (by in ('slots', 'bytes', 'rate')),
        -- As the API answers it: changes of members, moves, load before and after, estimate.
        content jsonb not null,
        reverse_of bigint references plan,
        created_by text not null,
        created_at timestamptz not null default now(),
        started_at timestamptz,
        ended_at timestamptz
      );

      create table move (
        id bigint generated always as identity primary key,
        plan bigint references plan,
        slot int not null,
        source text not null,
        target text not null check (target <> source),
        state text not null check (state in ('planned', 'running', 'aborting', 'done', 'aborted')),
        paused boolean not null default false,
        -- What the mover does now, for people; which step comes next is read from the rows on the shards.
        phase text not null default 'planned',
        progress jsonb not null default '{}',
        error text,
        created_by text not null,
        created_at timestamptz not null default now(),
        started_at timestamptz,
        ended_at timestamptz
      );
      -- R3: at most one open move per slot.
      create unique index move_open on move (slot) where state not in ('done', 'aborted');
      create index move_plan on move (plan);

      create table audit (
        id bigint generated always as identity primary key,
        at timestamptz not null default now(),
        actor text not null,
        action text not null,
        subject text not null,
        detail jsonb
      );
    `,
  },
  {
    id: 'control-0003',
    sql: `
      -- Set once topics, members, shards and the first topology are all there: from then on a shard may be down at a start.
      alter table cluster add column established_at timestamptz;
    `,
  },
];
