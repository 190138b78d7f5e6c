/** Whether a shard may go: what the control database says of it, and what its own rows say. */
import { createDatabase, type Database } from '@millrace/postgres';
import { createLog } from '@millrace/runtime';

import { Refusal } from './refusal.ts';

const APPLICATION = 'millrace-local';
const POOL = { poolMax: 1, statementTimeoutMs: 5_000, idleInTransactionTimeoutMs: 5_000, connectTimeoutMs: 5_000 } as const;

interface Standing {
  readonly state: string | null;
  readonly owned: number;
  readonly moves: number;
}

/** @throws Refusal where it is a member, owns slots, or takes part in a move that is not over. */
export async function refuseMember(controlUrl: string, shard: string): Promise<void> {
  const { state, owned, moves } = await standingOf(controlUrl, shard).catch((cause: unknown) => {
    throw new Refusal('membership_unknown', `whether shard ${shard} is a member cannot be asked: ${String(cause)}`, { cause });
  });
  if (owned > 0) throw new Refusal('shard_is_member', `shard ${shard} owns ${owned} slots`);
  if (state !== null && state !== 'gone') throw new Refusal('shard_is_member', `shard ${shard} is ${state}`);
  if (moves > 0) throw new Refusal('shard_is_member', `shard ${shard} takes part in ${moves} moves that are not over`);
}

async function standingOf(controlUrl: string, shard: string): Promise<Standing> {
  return await withDatabase(controlUrl, async (control) => {
    const [row] = await control.query<Standing>({
      text: `select
               (select state from member where shard = $1) as state,
               (select count(*)::int from unnest((select owners from topology order by epoch desc limit 1)) as o(owner) where owner = $1) as owned,
               (select count(*)::int from move where $1 in (source, target) and state not in ('done', 'aborted')) as moves`,
      values: [shard],
    });
    return row ?? { state: null, owned: 0, moves: 0 };
  });
}

/** Whether the database holds nothing that it owns; a reason where it cannot be asked. @throws Refusal where it does. */
export async function refuseOwner(url: string, shard: string): Promise<'empty' | { readonly unknown: string }> {
  const slots = await ownedSlots(url).catch((error: unknown) => ({ unknown: String(error) }));
  if ('unknown' in slots) return slots;
  if (slots.length === 0) return 'empty';
  throw new Refusal('shard_holds_slots', `slots ${slots.join(', ')} have ACTIVE, MOVING or INCOMING rows on shard ${shard}`);
}

async function ownedSlots(url: string): Promise<readonly number[]> {
  return await withDatabase(url, async (database) => {
    const [schema] = await database.query<{ made: boolean }>({ text: `select to_regclass('slot') is not null as made` });
    if (schema?.made !== true) return []; // it never was a member
    const rows = await database.query<{ slot: number }>({
      text: `select slot from slot where state in ('ACTIVE', 'MOVING', 'INCOMING') order by slot`,
    });
    return rows.map((row) => row.slot);
  });
}

async function withDatabase<T>(url: string, work: (database: Database) => Promise<T>): Promise<T> {
  const log = createLog({ name: APPLICATION, level: 'silent' }); // what matters is thrown
  const database = createDatabase({ ...POOL, name: APPLICATION, applicationName: APPLICATION, url, log });
  try {
    return await work(database);
  } finally {
    await database.end();
  }
}
