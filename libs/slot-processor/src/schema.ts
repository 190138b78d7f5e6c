/** The tables that every shard has, whatever its domain. Migrations go forward: a change is a new entry. */
import type { Migration } from '@millrace/postgres';

export const coreMigrations: readonly Migration[] = [
  {
    id: 'core-0001',
    sql: `
      create type stream as enum ('writes', 'sagas');
      create type slot_state as enum ('INCOMING', 'ACTIVE', 'MOVING', 'MOVED', 'ABORTED');
      create type outcome as enum ('applied', 'refused');

      create table shard_identity (
        only_row boolean primary key default true check (only_row),
        cluster_id uuid not null,
        shard_id text not null,
        slots int not null
      );

      create table slot (
        slot int primary key check (slot >= 0),
        state slot_state not null,
        epoch bigint not null,
        moved_to text,
        check ((state = 'MOVED') = (moved_to is not null))
      );

      create table position (
        stream stream not null,
        slot int not null references slot,
        next_offset bigint not null default 0 check (next_offset >= 0),
        relayed_offset bigint not null default 0 check (relayed_offset between 0 and next_offset),
        primary key (stream, slot)
      ) with (fillfactor = 50);

      create table journal (
        slot int not null,
        stream stream not null,
        "offset" bigint not null,
        body_hash bigint not null,
        at_ms bigint not null,
        digest uuid,
        outcome outcome not null,
        key text not null,
        type text not null,
        detail jsonb,
        -- As text: a message that is published again must have the bytes that it had the first time, and jsonb keeps no order.
        messages json,
        primary key (slot, stream, "offset")
      );
      -- The digest first: with stale statistics the planner takes any index that begins with (slot, stream) for as good.
      create unique index journal_digest on journal (digest, slot, stream);
      -- What a release let go has an offset below it: a relay that starts again finds it by the release.
      create index journal_released on journal (slot, stream, (detail ->> 'released_by')) where detail ? 'released_by';

      create table parked (
        slot int not null,
        stream stream not null,
        "offset" bigint not null,
        key text not null,
        value bytea,
        at_ms bigint not null,
        reason text not null,
        primary key (slot, stream, "offset")
      );
      create index parked_key on parked (slot, stream, key, "offset");

    `,
  },
  {
    id: 'core-0002',
    sql: `
      -- Of a slot that moves: which move, and the fencing token of the ring-manager that drives it (R5).
      alter table slot add column move bigint;
      alter table slot add column token bigint not null default 0;
      -- Until then no turn applies the slot: a mover that cannot keep up with its writes holds it for moments.
      alter table slot add column held_until timestamptz;

      -- Rows of a MOVING slot that a turn wrote: the turn's position before it, the table, the key after the slot.
      -- Journal rows at the position and after it are not noted: they are found by their offsets.
      create table changed (
        slot int not null,
        stream stream not null,
        "offset" bigint not null,
        "table" text not null,
        key text[] not null
      );
      create index changed_offset on changed (slot, stream, "offset");

      -- Of an INCOMING slot: how far its copy is, written in the transactions that copy.
      create table incoming (
        slot int primary key references slot,
        progress jsonb not null
      );
    `,
  },
];
