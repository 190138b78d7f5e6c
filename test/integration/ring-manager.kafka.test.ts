/** Ring-managers as processes, on a real broker and real shards, with their own movers; nobody writes meanwhile. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createKafka, readTopic, type KafkaClient } from '@millrace/kafka';
import { createService, freePort, startBroker, startPostgres, type Broker, type Postgres, type Service } from '@millrace/local-cluster';
import { createDatabase, type Database } from '@millrace/postgres';
import { createLog } from '@millrace/runtime';
import { until } from '@millrace/testkit';
import { parseTopology } from '@millrace/wire';

const SLOTS = 8;
const TOKEN = 'a-token-for-this-test';
const NAMES = ['control', 'shard_a', 'shard_b', 'shard_c'] as const;
const POOL = { applicationName: 'test', poolMax: 2, statementTimeoutMs: 30_000, idleInTransactionTimeoutMs: 30_000, connectTimeoutMs: 5_000 };
const log = createLog({ name: 'test', level: 'silent' });
const dir = mkdtempSync(join(tmpdir(), 'millrace-ring-manager-'));
const shardsFile = join(dir, 'shards.json');
const databases = new Map<string, Database>();
const managers: Manager[] = [];

let broker: Broker;
let postgres: Postgres;
let kafka: KafkaClient;

interface Manager {
  readonly name: string;
  readonly service: Service;
  call<T>(method: string, path: string, body?: unknown): Promise<{ readonly status: number; readonly json: T }>;
  leads(): Promise<boolean>;
}

beforeAll(async () => {
  [broker, postgres] = await Promise.all([startBroker({ dir: join(dir, 'kafka') }), startPostgres({ dir: join(dir, 'postgres'), durable: false })]);
  const root = createDatabase({ ...POOL, name: 'root', url: postgres.url, log });
  for (const name of NAMES) await root.query({ text: `create database ${name}` });
  await root.end();
  for (const name of NAMES) databases.set(name, createDatabase({ ...POOL, name, url: urlOf(name), log }));
  kafka = createKafka({ brokers: [broker.address], clientId: 'test', log });
  mkdirSync(join(dir, 'logs'));
  writeFileSync(join(dir, 'token'), TOKEN);
  writeShards({ a: urlOf('shard_a'), b: urlOf('shard_b') });
  for (const name of ['ring-manager-1', 'ring-manager-2']) managers.push(await createManager(name));
});
afterAll(async () => {
  await Promise.all(managers.map(({ service }) => service.kill('SIGCONT').then(() => service.stop())));
  await Promise.all([...databases.values()].map((database) => database.end()));
  await Promise.all([broker?.stop(), postgres?.stop()]);
  if (process.env['KEEP_TEST_DIRS'] === undefined) rmSync(dir, { recursive: true, force: true });
});

function urlOf(database: string): string {
  return Object.assign(new URL(postgres.url), { pathname: `/${database}` }).href;
}

function writeShards(addresses: Readonly<Record<string, string>>): void {
  writeFileSync(shardsFile, JSON.stringify(addresses));
}

async function createManager(name: string): Promise<Manager> {
  const [opsPort, adminPort] = [await freePort(), await freePort()];
  const service = createService({
    service: 'ring-manager',
    name,
    opsPort,
    logFile: join(dir, 'logs', `${name}.log`),
    env: {
      KAFKA_BROKERS: broker.address, CONTROL_URL: urlOf('control'), SHARDS_FILE: shardsFile, SLOTS: String(SLOTS), ADMIN_PORT: String(adminPort),
      ADMIN_TOKEN_FILE: join(dir, 'token'), INSTANCE: name, OPS_PORT: String(opsPort),
    },
  });
  return {
    name,
    service,
    async call<T>(method: string, path: string, body?: unknown) {
      const response = await fetch(`http://127.0.0.1:${adminPort}${path}`, {
        method,
        headers: { authorization: `Bearer ${TOKEN}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      return { status: response.status, json: JSON.parse(text === '' ? '{}' : text) as T };
    },
    leads: async () => (await (await fetch(service.metrics)).text()).includes('\nmillrace_ring_leader 1\n'),
  };
}

/** The one that leads, and the one that stands by. */
async function roles(): Promise<{ readonly leader: Manager; readonly standby: Manager }> {
  return until('one leads, the other does not', async () => {
    const [one, two] = [managers[0]!, managers[1]!];
    const [oneLeads, twoLeads] = await Promise.all([one.leads(), two.leads()]);
    if (oneLeads === twoLeads) return undefined;
    return oneLeads ? { leader: one, standby: two } : { leader: two, standby: one };
  });
}

async function announced(): Promise<readonly number[]> {
  const epochs: number[] = [];
  await readTopic({ kafka, topic: 'topology', signal: AbortSignal.timeout(30_000), onRecords: (_slot, records) => void epochs.push(...records.map(({ value }) => parseTopology(value!).epoch)) });
  return epochs;
}

async function slotsOn(name: (typeof NAMES)[number], state: string): Promise<readonly number[]> {
  const rows = await databases.get(name)!.query<{ slot: number }>({ text: 'select slot from slot where state = $1 order by slot', values: [state] });
  return rows.map(({ slot }) => slot);
}

interface Plan {
  readonly id: string;
  readonly state: string;
  readonly moves: readonly { readonly slot: number }[];
  readonly progress: { readonly done: number };
}

async function untilDone(manager: Manager, id: string): Promise<Plan> {
  return until(`plan ${id} is done`, async () => {
    const { json } = await manager.call<Plan>('GET', `/v1/plans/${id}`);
    return json.state === 'done' ? json : undefined;
  });
}

test('two that start at once on nothing establish one cluster; one leads, both are ready', async () => {
  await Promise.all(managers.map(({ service }) => service.start()));
  const { leader, standby } = await roles();
  for (const manager of [leader, standby]) {
    expect((await manager.call('GET', '/v1/topology')).json).toMatchObject({ epoch: 1, slots: SLOTS });
    expect((await manager.call('GET', '/v1/leader')).json).toMatchObject({ holder: leader.name, token: '1' });
  }
  expect((await standby.call('GET', '/v1/shards')).json).toMatchObject({ shards: [{ shard: 'a', state: 'active', slots: 4 }, { shard: 'b', state: 'active', slots: 4 }] });
  expect(await slotsOn('shard_a', 'ACTIVE')).toHaveLength(4);
  await until('the topology is announced', async () => (await announced()).includes(1));
});

test('a shard joins, asked of the standby: its slots move, and every epoch is announced', async () => {
  writeShards({ a: urlOf('shard_a'), b: urlOf('shard_b'), c: urlOf('shard_c') });
  const { standby } = await roles();
  expect((await standby.call('POST', '/v1/shards', { shard: 'c' })).status).toBe(201);
  const { json: plan } = await standby.call<Plan>('POST', '/v1/plans', {});
  expect(plan.moves.length).toBeGreaterThanOrEqual(2);
  expect((await standby.call('POST', `/v1/plans/${plan.id}/start`)).status).toBe(202);
  await untilDone(standby, plan.id);
  const moved = plan.moves.map(({ slot }) => slot).sort((a, b) => a - b);
  expect(await slotsOn('shard_c', 'ACTIVE')).toEqual(moved);
  expect([...(await slotsOn('shard_a', 'MOVED')), ...(await slotsOn('shard_b', 'MOVED'))].sort((a, b) => a - b)).toEqual(moved);
  await until('c is active', async () => (await standby.call<{ shards: { state: string }[] }>('GET', '/v1/shards')).json.shards[2]?.state === 'active');
  await until('the last epoch is announced', async () => (await announced()).at(-1) === 1 + moved.length);
});

test('a leader that is stopped past its lease is followed, and changes nothing when it wakes', async () => {
  const { leader, standby } = await roles();
  await leader.service.kill('SIGSTOP');
  await until('the standby leads', () => standby.leads());
  const { json: plan } = await standby.call<Plan>('POST', '/v1/shards/b/drain');
  await untilDone(standby, plan.id);
  const before = (await standby.call('GET', '/v1/topology')).json;
  const lines = (await standby.call<{ entries: unknown[] }>('GET', '/v1/audit')).json.entries.length;
  await leader.service.kill('SIGCONT');
  await until('it leads no more', async () => !(await leader.leads()));
  expect((await leader.call('GET', '/v1/topology')).json).toEqual(before);
  expect((await leader.call<{ entries: unknown[] }>('GET', '/v1/audit')).json.entries).toHaveLength(lines);
  expect(await standby.leads()).toBe(true);
});

test('a leader that is killed in the middle of a plan is followed, and the plan comes to its end', async () => {
  const { leader, standby } = await roles();
  await standby.call('PATCH', '/v1/shards/b', { state: 'active' });
  const { json: plan } = await standby.call<Plan>('POST', '/v1/plans', { changes: [{ shard: 'b', weight: 3 }] });
  await standby.call('POST', `/v1/plans/${plan.id}/start`);
  await until('it moves', async () => (await standby.call<{ moves: unknown[] }>('GET', `/v1/moves?plan=${plan.id}`)).json.moves.length > 0);
  await leader.service.kill('SIGKILL');
  const done = await untilDone(standby, plan.id);
  expect(done.progress.done).toBe(plan.moves.length);
  const { owners } = (await standby.call<{ owners: readonly string[] }>('GET', '/v1/topology')).json;
  for (const [shard, name] of [['a', 'shard_a'], ['b', 'shard_b'], ['c', 'shard_c']] as const) {
    expect(await slotsOn(name, 'ACTIVE')).toEqual(owners.flatMap((owner, slot) => (owner === shard ? [slot] : [])));
  }
  await leader.service.start();
  expect((await leader.call('GET', '/v1/topology')).json).toMatchObject({ owners });
});

test('a member that does not answer keeps no ring-manager from starting; it is prepared once it does', async () => {
  const manager = managers[0]!;
  await manager.service.stop();
  await databases.get('shard_c')!.query({ text: 'revoke select on account from millrace_reader' });
  writeShards({ a: urlOf('shard_a'), b: urlOf('shard_b'), c: 'postgres://nobody@127.0.0.1:1/none' });
  await manager.service.start();
  expect((await manager.call('GET', '/v1/shards')).status).toBe(200);
  // What needs the shard says so; a plan by slots does not.
  expect((await manager.call('POST', '/v1/plans', { by: 'bytes' })).json).toMatchObject({ code: 'shard_unavailable' });
  writeShards({ a: urlOf('shard_a'), b: urlOf('shard_b'), c: urlOf('shard_c') });
  await until('it is prepared', async () => (await databases.get('shard_c')!.query<{ may: boolean }>({ text: `select has_table_privilege('millrace_reader', 'account', 'select') as may` }))[0]?.may);
});
