/** Sagas that wait, as operators see and steer them: real Kafka, Postgres and services, through the admin API and the command. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createKafka, createLanes } from '@millrace/kafka';
import { startLocalCluster, type LocalCluster } from '@millrace/local-cluster';
import { createDatabase, type Database } from '@millrace/postgres';
import { slotOf } from '@millrace/ring';
import { createLog } from '@millrace/runtime';
import { until } from '@millrace/testkit';
import { must } from '@millrace/write';
import { Command } from 'commander';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parkedCommand } from '../../services/cli/src/commands/parked.ts';
import { addGlobalOptions } from '../../services/cli/src/context.ts';
import { sagasCommand } from '../../services/cli/src/sagas/command.ts';

const SLOTS = 8;
const log = createLog({ name: 'test', level: 'silent' });
const POOL = { applicationName: 'test', poolMax: 2, statementTimeoutMs: 10_000, idleInTransactionTimeoutMs: 10_000, connectTimeoutMs: 5_000, log } as const;
let dir: string;
let cluster: LocalCluster;
const databases = new Map<string, Database>();

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'millrace-sagas-'));
  cluster = await startLocalCluster({ dir, shards: 2, slots: SLOTS, durable: false });
  for (const { id, url } of cluster.file.shards) databases.set(id, createDatabase({ ...POOL, name: id, url }));
  await readOwners();
  await write('/v1/accounts', { account: account(), currency: 'GBP' });
  await write(`/v1/accounts/${account()}/deposits`, { amount: '100.00', currency: 'GBP' });
  for (const sku of [skuA(), skuB()]) await write(`/v1/stock/${sku}/receipts`, { quantity: 10 });
}, 300_000);
afterAll(async () => {
  await Promise.all([...databases.values()].map((database) => database.end()));
  await cluster?.stop();
  if (process.env['KEEP_TEST_DIRS'] === undefined) rmSync(dir, { recursive: true, force: true });
});

/** By slot. */
const owners = new Map<number, string>();
async function readOwners(): Promise<void> {
  for (const [shard, database] of databases) {
    for (const { slot } of await database.query<{ slot: number }>({ text: `select slot from slot where state = 'ACTIVE'` })) owners.set(slot, shard);
  }
}
/** The routing key of an id of the tenant. */
const key = (id: string): string => `${cluster.file.tenant}/${id}`;
function idOn(shard: string, name: string): string {
  return must(Array.from({ length: 100 }, (_, n) => `${name}-${n}`).find((id) => owners.get(slotOf(key(id), SLOTS)) === shard), `an id on shard ${shard}`);
}
const account = (): string => idOn('a', 'account');
const skuA = (): string => idOn('a', 'sku');
const skuB = (): string => idOn('b', 'sku');

let writes = 0;
async function write(path: string, body: unknown): Promise<Record<string, unknown>> {
  const headers = { authorization: `Bearer ${cluster.file.apiKey}`, 'content-type': 'application/json', 'idempotency-key': `w-${(writes += 1)}`, prefer: 'wait=10' };
  const response = await fetch(`${cluster.file.gateway}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
  expect(response.status).toBeLessThan(300);
  return (await response.json()) as Record<string, unknown>;
}

/** A record that can never apply. */
async function poison(topic: 'writes' | 'sagas', id: string): Promise<void> {
  const kafka = createKafka({ brokers: [...cluster.file.kafka], clientId: 'test', log });
  const lanes = await createLanes({ kafka, topic, log, limits: { recordsPerRequestMax: 1, queuedRecordsMax: 1, queuedBytesMax: 1024 * 1024, requestTimeoutMs: 10_000 } });
  await lanes.send({ slot: slotOf(key(id), SLOTS), key: key(id), value: 'poison' });
  await lanes.close();
}

/** Acked; nobody waits for what becomes of it. */
async function order(name: string, sku: string, deadlineSeconds: number): Promise<string> {
  const id = idOn('a', name);
  const headers = { authorization: `Bearer ${cluster.file.apiKey}`, 'content-type': 'application/json', 'idempotency-key': `o-${id}` };
  const body = { order: id, account: account(), currency: 'GBP', lines: [{ sku, quantity: 2, unit_price: '5.00' }], deadline_seconds: deadlineSeconds };
  const response = await fetch(`${cluster.file.gateway}/v1/orders`, { method: 'POST', headers, body: JSON.stringify(body) });
  expect(response.status).toBe(202);
  return `${key(id)}/order`;
}

interface Ran {
  readonly out: string;
  readonly error: string;
  readonly exitCode: number;
}

/** The command as an operator runs it. */
async function millrace(...args: readonly string[]): Promise<Ran> {
  const program = addGlobalOptions(new Command('millrace')).exitOverride();
  sagasCommand(program);
  parkedCommand(program);
  let [out, error] = ['', ''];
  process.exitCode = 0;
  const { error: complain } = console;
  console.error = (text: unknown) => void (error += String(text));
  const { write: print } = process.stdout;
  process.stdout.write = (text: string | Uint8Array) => ((out += String(text)), true);
  try {
    await program.parseAsync(['node', 'millrace', '--cluster', dir, ...args]);
  } catch (thrown) {
    error = thrown instanceof Error ? thrown.message : String(thrown);
  } finally {
    process.stdout.write = print;
    console.error = complain;
  }
  const exitCode = Number(process.exitCode);
  process.exitCode = 0;
  return { out, error, exitCode };
}

interface Saga {
  readonly id: string;
  readonly state: string;
  readonly attempt: number;
  readonly reason?: string;
  readonly detail?: Record<string, string>;
  readonly waits_for: readonly { readonly participant: string; readonly step: string; readonly because?: { readonly reason: string } }[];
}

/** Undefined before the orchestrator has its start. */
async function show(id: string): Promise<Saga | undefined> {
  const { out, error } = await millrace('--json', 'sagas', 'show', id);
  if (error.includes('There is no such saga')) return undefined;
  expect(error).toBe('');
  return JSON.parse(out) as Saga;
}

async function ask(method: string, path: string): Promise<{ readonly status: number; readonly body: Record<string, unknown> }> {
  const response = await fetch(`${cluster.file.sagas}${path}`, { method, headers: { authorization: `Bearer ${cluster.file.adminToken}` } });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

async function standing(): Promise<unknown> {
  const rows = await Promise.all(
    [...databases.values()].map((database) =>
      database.query({ text: `select key, held::int, incoming::int, null as reserved from account union all select key, null, incoming::int, reserved::int from stock order by key` }),
    ),
  );
  return rows.flat().filter((row) => Object.values(row as object).some((value) => typeof value === 'number' && value !== 0));
}

const metric = async (name: string): Promise<number> => {
  const service = must(cluster.file.services.find((one) => one.name === 'saga-orchestrator-1'), 'it runs');
  const lines = (await (await fetch(service.metrics)).text()).split('\n').filter((line) => line.startsWith(`${name}{`));
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
};

test('an order whose stock is on a shard that is down is shown with it, times out, and gives everything back', async () => {
  const shard = cluster.process('shard-b');
  await shard.stop();
  const id = await order('late', skuB(), 4);
  const seen = await until('the list shows the order and the shard', async () => {
    const { out } = await millrace('--json', 'sagas', 'list', '--state', 'reserving');
    const { sagas, silent_shards: silent } = JSON.parse(out) as { sagas: readonly Saga[]; silent_shards: readonly { shard: string }[] };
    const found = sagas.find((one) => one.id === id);
    return found?.waits_for.length === 1 ? { found, silent } : undefined;
  });
  expect(seen.silent).toEqual([expect.objectContaining({ shard: 'b' })]);
  expect(seen.found.waits_for).toEqual([expect.objectContaining({ participant: `stock/${skuB()}`, step: 'hold', because: expect.objectContaining({ reason: 'shard_silent' }) })]);
  expect(await millrace('parked', 'list')).toMatchObject({ out: 'nothing is parked on the shards that answer\n', error: expect.stringContaining('shard b does not answer'), exitCode: 1 });
  await until('its time is over', async () => (await show(id))?.state === 'undoing');
  await shard.start();
  const ended = await until('it has ended', async () => {
    const saga = await show(id);
    return saga?.state === 'rejected' ? saga : undefined;
  });
  expect(ended).toMatchObject({ reason: 'deadline_passed', detail: { waited_for: `stock/${skuB()}` }, waits_for: [] });
  await until('nothing is held', async () => JSON.stringify(await standing()) === '[]');
  expect(await metric('millrace_saga_timeouts_total')).toBe(1);
  expect(await metric('millrace_sagas_ended_total')).toBe(1);
}, 300_000);

test('an order whose sku is parked is shown with it; it is sent again, cancelled, and ends once the key is released', async () => {
  const sku = skuA();
  await poison('writes', sku);
  const late = await order('parked', sku, 3);
  const kept = await order('kept', sku, 900);
  const shown = await until('both wait for the parked sku', async () => {
    const { out } = await millrace('sagas', 'list');
    return out.split('\n').filter((line) => line.includes(`stock/${sku} (parked)`)).length === 2 && out;
  });
  expect(shown).toContain(kept);

  expect((await millrace('sagas', 'retry', kept)).out).toContain(`retry of ${kept} is done`);
  expect(await show(kept)).toMatchObject({ state: 'reserving', attempt: 1 });
  expect((await millrace('sagas', 'cancel', kept)).out).toContain(`cancel of ${kept} is done`);
  expect(await show(kept)).toMatchObject({ state: 'undoing', reason: 'cancelled_by_operator' });
  expect((await millrace('sagas', 'cancel', kept)).error).toContain('cancelled already');

  await until('the time of the other is over', async () => (await show(late))?.state === 'undoing');
  expect((await millrace('parked', 'skip', key(sku))).error).toBe('');
  await until('both have ended', async () => (await show(late))?.state === 'rejected' && (await show(kept))?.state === 'cancelled');
  expect(await show(late)).toMatchObject({ reason: 'deadline_passed' });
  await until('nothing is held', async () => JSON.stringify(await standing()) === '[]');
  expect((await millrace('sagas', 'retry', kept)).error).toContain('The saga has ended');
  expect((await millrace('sagas', 'list')).out).toBe('every saga has ended\n');
}, 300_000);

test('a key of stream sagas that is parked is released in its own stream', async () => {
  const name = 'astray';
  const id = idOn('a', name);
  await poison('sagas', id);
  await until('it is parked', async () => (await millrace('parked', 'list')).out.includes(`${key(id)}  shard a, sagas slot`));
  const saga = await order(name, skuB(), 900);
  await until('the start waits behind it', async () => (await millrace('parked', 'show', key(id))).out.split('\n').length > 4);
  expect(await show(saga)).toBeUndefined();
  expect((await millrace('parked', 'skip', key(id))).out).toContain('is in the log: sagas slot');
  await until('it is confirmed', async () => (await show(saga))?.state === 'confirmed');
}, 300_000);

test('a saga is found by its id as one segment and as a path; what is not there is 404, what is too late 409', async () => {
  const id = await order('whole', skuB(), 900);
  await until('it is confirmed', async () => (await show(id))?.state === 'confirmed');
  expect((await ask('GET', `/v1/sagas/${id}`)).body['id']).toBe(id);
  expect((await ask('GET', `/v1/sagas/${encodeURIComponent(id)}`)).body['id']).toBe(id);
  expect(await ask('POST', `/v1/sagas/${id}/cancel`)).toMatchObject({ status: 409, body: { code: 'too_late' } });
  expect(await ask('POST', `/v1/sagas/${id}/retry`)).toMatchObject({ status: 409, body: { code: 'already_ended' } });
  expect(await ask('POST', `/v1/sagas/${key('nobody')}/order/retry`)).toMatchObject({ status: 404, body: { code: 'unknown_saga' } });
  expect(await ask('GET', '/v1/sagas/none')).toMatchObject({ status: 400, body: { code: 'invalid_parameter' } });
  expect(await ask('DELETE', `/v1/sagas/${id}`)).toMatchObject({ status: 405 });
  expect((await ask('GET', '/v1/sagas?state=confirmed&kind=order')).body['sagas']).toContainEqual(expect.objectContaining({ id }));
  const told = readFileSync(cluster.process('saga-orchestrator-1').logFile, 'utf8');
  for (const state of ['reserving', 'confirming', 'confirmed']) expect(told).toMatch(new RegExp(`"saga":"${id}".*"saga ${state}"`));
}, 300_000);
