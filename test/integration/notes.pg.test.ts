/** What turns note of a slot that moves, and a slot that is held, on a real shard. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { startPostgres, type Postgres } from '@millrace/local-cluster';
import { createDatabase, WRITER_ROLE, type Database } from '@millrace/postgres';
import { slotOf } from '@millrace/ring';
import { createLog } from '@millrace/runtime';
import { prepareShard, seedSlots } from '@millrace/slot-processor';
import { encodeWrite } from '@millrace/wire';
import type { Epoch, Offset, ShardId, Slot } from '@millrace/write';
import { sliceOf } from '../../libs/slot-processor/src/slices.ts';
import { runTurn, type TurnResult } from '../../libs/slot-processor/src/turn.ts';
import { writesModel } from '../../services/shard-writer/src/model.ts';

const SLOTS = 8;
const dir = mkdtempSync(join(tmpdir(), 'millrace-notes-'));
const log = createLog({ name: 'test', level: 'silent' });
/** Two keys of one slot, and one of another. */
const accounts = Array.from({ length: 4_000 }, (_, i) => `acc-${i}`);
const slot = slotOf('demo/acc-0', SLOTS);
const [one, two] = accounts.filter((id) => slotOf(`demo/${id}`, SLOTS) === slot) as [string, string];
const other = accounts.find((id) => slotOf(`demo/${id}`, SLOTS) !== slot) as string;
const otherSlot = slotOf(`demo/${other}`, SLOTS);

let server: Postgres;
let owner: Database;
let writer: Database;
const database = (applicationName: string, url: string): Database =>
  createDatabase({ name: 'a', url, applicationName, poolMax: 4, statementTimeoutMs: 30_000, idleInTransactionTimeoutMs: 30_000, connectTimeoutMs: 5_000, log });
beforeAll(async () => {
  server = await startPostgres({ dir, durable: false });
  owner = database('owner', server.url);
  await prepareShard({ database: owner, identity: { clusterId: '00000000-0000-0000-0000-000000000001', shard: 'a' as ShardId, slots: SLOTS }, log });
  await seedSlots(owner, { epoch: 1 as Epoch, slots: [slot, otherSlot] });
  // The rights of a writer, and no more.
  await owner.query({ text: `create role notes_writer login password 'notes' in role ${WRITER_ROLE}` });
  const url = new URL(server.url);
  url.username = 'notes_writer';
  url.password = 'notes';
  writer = database('writer', url.toString());
});
afterAll(async () => {
  await writer?.end();
  await owner?.end();
  await server?.stop();
  rmSync(dir, { recursive: true, force: true });
});
beforeEach(async () => {
  await owner.query({ text: 'truncate journal, parked, changed, account, payment, orders, stock' });
  await owner.query({ text: 'update position set next_offset = 0, relayed_offset = 0' });
  await owner.query({ text: `update slot set state = 'ACTIVE', moved_to = null, held_until = null` });
});

interface Write {
  readonly account: string;
  readonly type: string;
  readonly data?: object;
}

const open = (account: string): Write => ({ account, type: 'account.open', data: { account, currency: 'GBP' } });
const deposit = (account: string): Write => ({ account, type: 'account.deposit', data: { account, amount: '1.00', currency: 'GBP' } });
const poison = (account: string): Write => ({ account, type: 'no.such.type', data: {} });
const release = (account: string, action: 'skip' | 'retry'): Write => ({ account, type: 'parked.release', data: { action } });

/** One turn with the writes at the offsets from `from` on, in their slots. */
async function turn(from: number, writes: readonly Write[]): Promise<TurnResult> {
  const bySlot = Map.groupBy(writes, ({ account }) => slotOf(`demo/${account}`, SLOTS));
  const slices = [...bySlot].map(([slot, own]) => {
    const records = own.map(({ account, type, data }, i) => {
      const value = Buffer.from(encodeWrite({ type, idempotencyKey: `${account}-${from + i}`, data }));
      return { slot, offset: BigInt(from + i) as Offset, key: `demo/${account}`, value, atMs: 1_700_000_000_000 };
    });
    return sliceOf({ slot, from: BigInt(from) as Offset, to: BigInt(from + own.length) as Offset }, records);
  });
  return runTurn({ database: writer, model: writesModel, slots: SLOTS, slices, relayedOf: () => 0n as Offset });
}

async function setState(of: Slot, state: 'ACTIVE' | 'MOVING'): Promise<void> {
  await owner.query({ text: 'update slot set state = $2 where slot = $1', values: [of, state] });
}

async function notes(): Promise<readonly string[]> {
  const rows = await owner.query<{ note: string }>({
    text: `select concat_ws(' ', slot, stream, "offset", "table", array_to_string(key, ' ')) as note from changed`,
  });
  return rows.map(({ note }) => note).sort();
}

describe('a slot that is MOVING', () => {
  beforeEach(() => setState(slot, 'MOVING'));

  test('has the keys of added and of changed rows noted, at the position before their turn, and no journal row', async () => {
    await turn(0, [open(one), open(two), deposit(two)]);
    expect(await notes()).toEqual([`${slot} writes 0 account demo/${one}`, `${slot} writes 0 account demo/${two}`].sort());
    await turn(3, [deposit(one), deposit(one)]);
    expect((await notes()).filter((note) => note.startsWith(`${slot} writes 3 `))).toEqual([`${slot} writes 3 account demo/${one}`]);
    expect(await owner.query({ text: 'select 1 from journal' })).toHaveLength(5);
  });

  test('has parked rows noted when they come and when they go, and journal rows that a release writes below the position', async () => {
    await turn(0, [poison(one), open(one)]);
    expect(await notes()).toEqual([`${slot} writes 0 parked writes 0`, `${slot} writes 0 parked writes 1`]);
    await owner.query({ text: 'truncate changed' });
    await turn(2, [release(one, 'skip')]);
    expect(await owner.query({ text: 'select 1 from parked' })).toEqual([]);
    expect(await notes()).toEqual(
      [
        `${slot} writes 2 account demo/${one}`,
        `${slot} writes 2 journal writes 0`,
        `${slot} writes 2 journal writes 1`,
        `${slot} writes 2 parked writes 0`,
        `${slot} writes 2 parked writes 1`,
      ].sort(),
    );
  });

  test('leaves its mover nothing to miss: what differs from its cursor on is noted at it or later, or is a journal row at it or later', async () => {
    const kinds = [open, deposit, poison, (account: string) => release(account, 'skip'), deposit, (account: string) => release(account, 'retry')];
    const writes = Array.from({ length: 600 }, (_, i) => (kinds[(i * 7) % kinds.length] ?? open)(i % 5 === 0 ? one : two));
    const cursor = 51;
    let before = await rows();
    for (const [from, to] of [[0, 5], [5, 50], [50, 51], [51, 300], [300, 600]] as const) {
      if (from === cursor) before = await rows();
      await turn(from, writes.slice(from, to));
    }
    const after = await rows();
    const found = await owner.query<{ key: string }>({
      text: `select "table" || ' ' || array_to_string(key, ' ') as key from changed where slot = $1 and stream = 'writes' and "offset" >= $2
             union select 'journal writes ' || "offset" from journal where slot = $1 and "offset" >= $2`,
      values: [slot, cursor],
    });
    const copied = new Set(found.map(({ key }) => key));
    const differing = [...new Set([...before.keys(), ...after.keys()])].filter((key) => before.get(key) !== after.get(key));
    for (const table of ['account', 'journal', 'parked']) expect(differing.some((key) => key.startsWith(table))).toBe(true);
    expect(differing.filter((key) => !copied.has(key))).toEqual([]);
  });

  test('has the keys of a large turn noted, each once', async () => {
    const many = accounts.filter((id) => slotOf(`demo/${id}`, SLOTS) === slot).slice(0, 300);
    await turn(0, [...many.map(open), ...many.map(deposit)]);
    expect(await notes()).toEqual(many.map((id) => `${slot} writes 0 account demo/${id}`).sort());
  });

  test('does not have another slot of its turn noted, nor another stream touched', async () => {
    await turn(0, [open(one), open(other)]);
    expect(await notes()).toEqual([`${slot} writes 0 account demo/${one}`]);
    expect(await owner.query({ text: `select 1 from changed where stream = 'sagas'` })).toEqual([]);
    expect(await owner.query({ text: `select 1 from position where stream = 'sagas' and next_offset > 0` })).toEqual([]);
  });

  test('keeps no note of a turn that is rolled back', async () => {
    await owner.query({ text: 'alter table position add constraint stands check (next_offset = 0) not valid' });
    await expect(turn(0, [open(one)])).rejects.toThrow('stands');
    await owner.query({ text: 'alter table position drop constraint stands' });
    expect(await notes()).toEqual([]);
  });
});

test('a slot that is ACTIVE has nothing noted', async () => {
  await turn(0, [open(one), poison(two), open(two), open(other)]);
  await turn(3, [release(two, 'skip'), deposit(one)]);
  expect(await notes()).toEqual([]);
});

describe('a slot that is held', () => {
  test('applies nothing and tells for how long, while the other slots of the turn go on', async () => {
    await owner.query({ text: `update slot set held_until = clock_timestamp() + interval '1 hour' where slot = $1`, values: [slot] });
    const { slots } = await turn(0, [open(one), open(other)]);
    expect(slots).toContainEqual({ kind: 'held', slot, forMs: 1_000 });
    expect(slots).toContainEqual(expect.objectContaining({ kind: 'applied', slot: otherSlot, next: 1n }));
    expect(await owner.query({ text: 'select slot from journal' })).toEqual([{ slot: otherSlot }]);
    await owner.query({ text: `update slot set held_until = 'infinity' where slot = $1`, values: [slot] });
    expect((await turn(0, [open(one)])).slots).toEqual([{ kind: 'held', slot, forMs: 1_000 }]);
  });

  test('goes on once the time has passed, by the clock of the server', async () => {
    await owner.query({ text: `update slot set held_until = clock_timestamp() where slot = $1`, values: [slot] });
    expect((await turn(0, [open(one)])).slots).toMatchObject([{ kind: 'applied', next: 1n }]);
  });
});

/** The rows of the slot by table and key. */
async function rows(): Promise<ReadonlyMap<string, string>> {
  const found = await owner.query<{ key: string; row: string }>({
    text: `select 'account ' || key as key, a::text as row from account a where slot = $1
           union all select 'parked ' || stream || ' ' || "offset", p::text from parked p where slot = $1
           union all select 'journal ' || stream || ' ' || "offset", j::text from journal j where slot = $1`,
    values: [slot],
  });
  return new Map(found.map(({ key, row }) => [key, row]));
}
