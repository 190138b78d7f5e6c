/** The admin API of sagas over real shards: two databases, one of which may be silent, and slots that move between them. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { commandTo } from '@millrace/domain';
import { KafkaUnavailable, ProduceUnknown, type OutgoingRecord } from '@millrace/kafka';
import { startPostgres, type Postgres } from '@millrace/local-cluster';
import { createDatabase, type Database } from '@millrace/postgres';
import { createTopology, slotOf, type Topology } from '@millrace/ring';
import { createLog } from '@millrace/runtime';
import { begin, rowOf, step, type Part, type Saga } from '@millrace/saga';
import { prepareShard, seedSlots } from '@millrace/slot-processor';
import { isWireError, parseWrite } from '@millrace/wire';
import { digestOf, must, type Epoch, type Offset, type RoutingKey, type ShardId, type Slot } from '@millrace/write';
import { startSagaApi } from '../../services/saga-orchestrator/src/api/server.ts';

const SLOTS = 8;
const TOKEN = 'mra_of-the-saga-admin-test';
const [a, b] = ['a', 'b'] as unknown as [ShardId, ShardId];
const OWNERS = [a, a, a, a, b, b, b, b];
const log = createLog({ name: 'test', level: 'silent' });
const dir = mkdtempSync(join(tmpdir(), 'millrace-saga-admin-'));
const POOL = { applicationName: 'saga-admin-test', poolMax: 2, statementTimeoutMs: 10_000, idleInTransactionTimeoutMs: 10_000, connectTimeoutMs: 5_000, log } as const;

let server: Postgres;
const shards = new Map<ShardId, Database>();
const closings: (() => Promise<void> | void)[] = [];
let url: string;
/** As if shard `b` were down: its address is of nobody. */
let urlWithoutB: string;
const sent: OutgoingRecord[] = [];
/** What becomes of a record that is sent. */
let apply: (record: OutgoingRecord) => Promise<void> = async () => undefined;

const topology = (): Topology => createTopology({ epoch: 1 as Epoch, owners: OWNERS });
const urlOf = (database: string): string => server.url.replace(/\/[^/]*$/, `/${database}`);

beforeAll(async () => {
  server = await startPostgres({ dir: join(dir, 'pg'), durable: false });
  const root = createDatabase({ ...POOL, name: 'root', url: server.url });
  for (const shard of [a, b]) {
    await root.query({ text: `create database shard_${shard}` });
    const database = createDatabase({ ...POOL, name: shard, url: urlOf(`shard_${shard}`) });
    shards.set(shard, database);
    await prepareShard({ database, identity: { clusterId: '00000000-0000-0000-0000-000000000001', shard, slots: SLOTS }, log });
  }
  await root.end();
  url = await serve({ a: urlOf('shard_a'), b: urlOf('shard_b'), z: 'postgres://nobody@127.0.0.1:1/none' });
  urlWithoutB = await serve({ a: urlOf('shard_a'), b: 'postgres://nobody@127.0.0.1:1/none' });
});
afterAll(async () => {
  for (const close of closings.reverse()) await close();
  await Promise.all([...shards.values()].map((database) => database.end()));
  await server?.stop();
  rmSync(dir, { recursive: true, force: true });
});
beforeEach(async () => {
  sent.length = 0;
  apply = async () => undefined;
  for (const [shard, database] of shards) {
    await database.query({ text: 'truncate saga, journal, parked, position, slot cascade' });
    await seedSlots(database, { epoch: 1 as Epoch, slots: OWNERS.flatMap((owner, slot) => (owner === shard ? [slot as Slot] : [])) });
  }
});

async function serve(addresses: Readonly<Record<string, string>>): Promise<string> {
  const shardsFile = join(dir, `shards-${closings.length}.json`);
  writeFileSync(shardsFile, JSON.stringify(addresses));
  const life = { onDrain: (_: string, close: () => Promise<void> | void) => void closings.push(close) };
  const lanes = {
    async send(record: OutgoingRecord) {
      await apply(record);
      sent.push(record);
      return { offset: BigInt(sent.length) as Offset };
    },
  };
  const { port } = await startSagaApi({ life, log, host: '127.0.0.1', port: 0, token: TOKEN, shardsFile, instance: 'test', topology: { current: topology }, lanes });
  return `http://127.0.0.1:${port}`;
}

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown> & { readonly sagas?: readonly Record<string, unknown>[] };
}

async function ask(path: string, { method = 'GET', at = url }: { method?: string; at?: string } = {}): Promise<Answer> {
  const response = await fetch(`${at}${path}`, { method, headers: { authorization: `Bearer ${TOKEN}` } });
  return { status: response.status, body: (await response.json()) as Answer['body'] };
}
const idsOf = ({ body }: Answer): readonly unknown[] => must(body.sagas, 'a list').map(({ id }) => id);

/** An id of tenant `demo` whose slot is the shard's. */
function idOn(shard: ShardId, name: string): string {
  return must(Array.from({ length: 200 }, (_, n) => `${name}-${n}`).find((id) => OWNERS[slotOf(`demo/${id}`, SLOTS)] === shard), 'an id');
}
const slotOfId = (id: string): Slot => slotOf(`demo/${id}`, SLOTS);

const parts = (account: string, sku: string): readonly Part[] => [
  { kind: 'account', id: account, direction: 'out', amount: '5.00', currency: 'GBP' },
  { kind: 'stock', id: sku, direction: 'out', quantity: 2 },
];
const reserving = (startedMs: number, those = parts('acc', 'sku')): Saga => begin({ kind: 'order', parts: those, dueMs: startedMs + 900_000 }, startedMs).next;
function moved(saga: Saga, ...events: readonly Parameters<typeof step>[1][]): Saga {
  return events.reduce((before, event) => {
    const result = step(before, event, 9_000_000);
    if (result.is !== 'moved') throw new Error(`it is ${result.is}`);
    return result.next;
  }, saga);
}

async function store(id: string, saga: Saga, { on, name = 'order' }: { on?: ShardId; name?: string } = {}): Promise<string> {
  const slot = slotOfId(id);
  const row = rowOf({ key: `demo/${id}` as RoutingKey, saga: name }, saga);
  await must(shards.get(on ?? must(OWNERS[slot], 'an owner')), 'a shard').query({
    text: 'insert into saga (slot, key, saga, state, body, due_ms, started_ms, changed_ms) values ($1, $2, $3, $4, $5, $6, $7, $8)',
    values: [slot, row.key, row.saga, row.state, JSON.stringify(row.body), row.due_ms, row.started_ms, row.changed_ms],
  });
  return `demo/${id}/${name}`;
}

const many = (count: number): readonly Part[] => Array.from({ length: count }, (_, n) => ({ kind: 'stock', id: `sku-${n}`, direction: 'out', quantity: 1 }) as const);

async function setSlot(shard: ShardId, slot: Slot, state: string, epoch: number, movedTo: ShardId | null = null): Promise<void> {
  await must(shards.get(shard), 'a shard').query({
    text: 'insert into slot (slot, state, epoch, moved_to) values ($1, $2::slot_state, $3, $4) on conflict (slot) do update set state = excluded.state, epoch = excluded.epoch, moved_to = excluded.moved_to',
    values: [slot, state, epoch, movedTo],
  });
}

async function park(shard: ShardId, stream: string, id: string): Promise<void> {
  await must(shards.get(shard), 'a shard').query({ text: `insert into parked values ($1, $2::stream, 7, $3, null, 0, 'not JSON')`, values: [slotOfId(id), stream, `demo/${id}`] });
}

describe('the list', () => {
  test('is over all shards, the oldest first, page by page, each once', async () => {
    const ids: string[] = [];
    for (let n = 0; n < 7; n += 1) ids.push(await store(idOn(n % 2 === 0 ? a : b, `o${n}`), reserving(1_000 + Math.floor(n / 3))));
    const seen: unknown[] = [];
    let next: unknown;
    do {
      const page = await ask(`/v1/sagas?limit=2${next === undefined ? '' : `&after=${encodeURIComponent(String(next))}`}`);
      expect(page.status).toBe(200);
      expect(page.body.sagas!.length).toBeLessThanOrEqual(2);
      seen.push(...idsOf(page));
      next = page.body['next'];
    } while (next !== undefined);
    const startOf = (id: unknown): number => Math.floor(ids.indexOf(String(id)) / 3);
    expect([...seen].sort()).toEqual([...ids].sort());
    expect(seen.map(startOf)).toEqual([0, 0, 0, 1, 1, 1, 2]);
  });

  test('leaves out what has ended, unless it is asked for, and keeps to kind and age', async () => {
    const ended = await store(idOn(a, 'ended'), moved(reserving(1_000), { type: 'cancel', by: 'client' }, ...parts('acc', 'sku').map(({ kind, id }) => ({ type: 'reply', kind, id, phase: 'release', done: true }) as const)));
    const old = await store(idOn(a, 'old'), reserving(2_000));
    const returned = await store(idOn(b, 'ret'), { ...reserving(3_000), kind: 'return' }, { name: 'return/r7' });
    const young = await store(idOn(b, 'young'), reserving(Date.now()));
    expect(idsOf(await ask('/v1/sagas'))).toEqual([old, returned, young]);
    expect(idsOf(await ask('/v1/sagas?state=cancelled'))).toEqual([ended]);
    expect(idsOf(await ask('/v1/sagas?state=undoing'))).toEqual([]);
    expect(idsOf(await ask('/v1/sagas?kind=return'))).toEqual([returned]);
    expect(idsOf(await ask('/v1/sagas?older_than=3600'))).toEqual([old, returned]);
    expect((await ask('/v1/sagas?state=nonsense')).body['code']).toBe('invalid_parameter');
    expect((await ask('/v1/sagas?after=nonsense')).body['code']).toBe('invalid_parameter');
  });

  test('names shards that do not answer, whose sagas are missing, and no address that is nobody’s', async () => {
    const here = await store(idOn(a, 'here'), reserving(1_000));
    await store(idOn(b, 'there'), reserving(1_000));
    expect((await ask('/v1/sagas')).body['silent_shards']).toEqual([]);
    const answer = await ask('/v1/sagas', { at: urlWithoutB });
    expect(idsOf(answer)).toEqual([here]);
    expect(answer.body['silent_shards']).toEqual([{ shard: 'b', reason: expect.any(String) }]);
  });

  test('tells of each participant that is waited for why, where that can be told', async () => {
    const [account, sku, own] = [idOn(a, 'acc'), idOn(b, 'sku'), idOn(a, 'own')];
    await store(own, reserving(1_000, parts(account, sku)));
    await park(a, 'writes', account);
    const parked = await ask('/v1/sagas');
    expect(parked.body.sagas![0]!['waits_for']).toEqual([
      { participant: `account/${account}`, step: 'hold', shard: 'a', because: { reason: 'key_parked', detail: expect.stringContaining('offset 7: not JSON') } },
      { participant: `stock/${sku}`, step: 'hold', shard: 'b' },
    ]);
    const silent = await ask('/v1/sagas', { at: urlWithoutB });
    expect(silent.body.sagas![0]!['waits_for']).toContainEqual({ participant: `stock/${sku}`, step: 'hold', shard: 'b', because: { reason: 'shard_silent', detail: expect.any(String) } });
    expect(parked.body.sagas![0]).not.toHaveProperty('because');
    await park(a, 'sagas', own);
    expect((await ask('/v1/sagas')).body.sagas![0]!['because']).toMatchObject({ reason: 'key_parked' });
  });

  test('of a saga with many parts it names some, looks after these alone, and counts the others; the saga itself names all', async () => {
    const [first, ...others] = many(100);
    const answered = step(reserving(1_000, [must(first, 'a part'), ...others]), { type: 'reply', kind: 'stock', id: 'sku-0', phase: 'hold', done: true }, 2_000);
    if (answered.is !== 'moved') throw new Error(answered.is);
    const id = await store(idOn(a, 'many'), answered.next);
    await park(must(OWNERS[slotOfId('sku-9')], 'an owner'), 'writes', 'sku-9');
    const [row] = must((await ask('/v1/sagas')).body.sagas, 'a list');
    const named = (of: unknown) => (of as readonly { participant: string }[]).map(({ participant }) => participant);
    expect(row).toMatchObject({ waits_for: { length: 5 }, waits_for_more: 94 });
    expect(named(row!['waits_for'])).toEqual([1, 2, 3, 4, 5].map((n) => `stock/sku-${n}`));
    const whole = (await ask(`/v1/sagas/${id}`)).body;
    expect(whole).toMatchObject({ waits_for: { length: 99 }, parts: { length: 100 } });
    expect(named(whole['waits_for'])[0]).toBe('stock/sku-9');
  });

  test('tells why a saga is undone, and how often it was sent again', async () => {
    const id = await store(idOn(a, 'undone'), moved(reserving(1_000), { type: 'retry' }, { type: 'cancel', by: 'operator' }));
    expect((await ask('/v1/sagas')).body.sagas).toMatchObject([{ id, state: 'undoing', reason: 'cancelled_by_operator', attempt: 1, waits_for: [{ step: 'release' }, { step: 'release' }] }]);
  });
});

describe('a slot that moves', () => {
  const name = 'mover';

  test('its sagas are shown where they are true: on the source until the target is active, then on the target', async () => {
    const id = idOn(a, name);
    const slot = slotOfId(id);
    const at = async (): Promise<unknown> => must((await ask('/v1/sagas')).body.sagas, 'a list').map(({ id: seen, shard, state }) => [seen, shard, state]);
    await store(id, reserving(1_000));
    await setSlot(a, slot, 'MOVING', 1);
    await setSlot(b, slot, 'INCOMING', 2);
    await store(id, reserving(1_000), { on: b });
    expect(await at()).toEqual([[`demo/${id}/order`, 'a', 'reserving']]);
    await setSlot(a, slot, 'MOVED', 1, b);
    expect(await at()).toEqual([[`demo/${id}/order`, 'a', 'reserving']]);
    await setSlot(b, slot, 'ACTIVE', 2);
    expect(await at()).toEqual([[`demo/${id}/order`, 'b', 'reserving']]);
    expect((await ask(`/v1/sagas/demo/${id}/order`)).body).toMatchObject({ shard: 'b' });
    await shards.get(b)!.query({ text: `update saga set state = 'confirmed'` });
    expect(await at()).toEqual([]);
  });

  test('what its source still has is not believed while the target is silent', async () => {
    const id = idOn(a, name);
    await store(id, reserving(1_000));
    await setSlot(a, slotOfId(id), 'MOVED', 1, b);
    const answer = await ask('/v1/sagas', { at: urlWithoutB });
    expect([idsOf(answer), answer.body['silent_shards']]).toEqual([[], [expect.objectContaining({ shard: 'b' })]]);
    expect(await ask(`/v1/sagas/demo/${id}/order`, { at: urlWithoutB })).toMatchObject({ status: 503, body: { code: 'shard_unavailable' } });
  });
});

describe('retry and cancel', () => {
  /** The orchestrator's part: a journal row. */
  const outcome = (kind: 'applied' | 'refused', code?: string) => async (record: OutgoingRecord) => {
    const write = parseWrite(Buffer.from(record.value));
    if (isWireError(write)) throw new Error(write.reason);
    const digest = digestOf(String(record.key), write.idempotencyKey);
    await shards.get(a)!.query({
      text: `insert into journal values ($1, 'sagas', $2, 0, 0, $3::uuid, $4::outcome, $5, $6, $7, null)`,
      values: [record.slot, sent.length, digest, kind, record.key, write.type, code === undefined ? null : JSON.stringify({ code })],
    });
  };

  test('each is a record of its own in the slot of the saga, and is answered by its outcome', async () => {
    const id = await store(idOn(a, 'steered'), reserving(1_000));
    apply = outcome('applied');
    for (const how of ['retry', 'retry', 'cancel']) expect(await ask(`/v1/sagas/${id}/${how}`, { method: 'POST' })).toMatchObject({ status: 200, body: { done: true, saga: { id } } });
    const writes = sent.map(({ value }) => parseWrite(Buffer.from(value)) as { type: string; idempotencyKey: string; data: unknown });
    expect(writes.map(({ type, data }) => [type, data])).toEqual([['saga.retry', { saga: 'order' }], ['saga.retry', { saga: 'order' }], ['saga.cancel', { saga: 'order', by: 'operator' }]]);
    expect(new Set(writes.map(({ idempotencyKey }) => idempotencyKey)).size).toBe(3);
    expect(writes.every(({ idempotencyKey }) => idempotencyKey.startsWith('\u0001'))).toBe(true);
    expect(sent.map(({ slot, key }) => [slot, key])).toEqual(sent.map(() => [slotOfId(idOn(a, 'steered')), `demo/${idOn(a, 'steered')}`]));
  });

  test.each([['too_late'], ['already_ended'], ['already_cancelled'], ['already_rejected']])('what the protocol refuses is 409 %s', async (code) => {
    const id = await store(idOn(a, 'refused'), reserving(1_000));
    apply = outcome('refused', code);
    expect(await ask(`/v1/sagas/${id}/cancel`, { method: 'POST' })).toMatchObject({ status: 409, body: { code } });
  });

  test('a code that is no problem of its own is told as the saga’s refusal', async () => {
    const id = await store(idOn(a, 'skipped'), reserving(1_000));
    apply = outcome('refused', 'skipped_by_operator');
    expect(await ask(`/v1/sagas/${id}/retry`, { method: 'POST' })).toMatchObject({ status: 409, body: { code: 'saga_refused', detail: expect.stringContaining('skipped_by_operator') } });
  });

  test('what is broken is not taken for a shard that does not answer', async () => {
    const id = await store(idOn(a, 'broken'), reserving(1_000));
    apply = async (record) => {
      await outcome('applied')(record);
      await shards.get(a)!.query({ text: `update saga set body = '{}'` });
    };
    expect(await ask(`/v1/sagas/${id}/retry`, { method: 'POST' })).toMatchObject({ status: 500 });
  });

  test('what is not done in time stands: 202', async () => {
    const id = await store(idOn(a, 'slow'), reserving(1_000));
    expect(await ask(`/v1/sagas/${id}/retry`, { method: 'POST' })).toMatchObject({ status: 202, body: { done: false, saga: { id } } });
    expect(sent).toHaveLength(1);
  });

  test('nothing is sent for a saga that is not there, or whose shard is silent', async () => {
    expect(await ask('/v1/sagas/demo/nobody/order/cancel', { method: 'POST' })).toMatchObject({ status: 404, body: { code: 'unknown_saga' } });
    const id = await store(idOn(b, 'away'), reserving(1_000));
    expect(await ask(`/v1/sagas/${id}/cancel`, { method: 'POST', at: urlWithoutB })).toMatchObject({ status: 503, body: { code: 'shard_unavailable' } });
    expect(sent).toEqual([]);
  });

  test('what Kafka does not take, or not surely, is told so', async () => {
    const id = await store(idOn(a, 'kafka'), reserving(1_000));
    apply = () => Promise.reject(new KafkaUnavailable('not now'));
    expect(await ask(`/v1/sagas/${id}/retry`, { method: 'POST' })).toMatchObject({ status: 503, body: { code: 'kafka_unavailable' } });
    apply = () => Promise.reject(new ProduceUnknown('sagas'));
    expect(await ask(`/v1/sagas/${id}/retry`, { method: 'POST' })).toMatchObject({ status: 503, body: { code: 'produce_unknown' } });
  });
});

test('the API takes its token alone, and describes itself without one', async () => {
  expect((await fetch(`${url}/v1/sagas`)).status).toBe(401);
  const described = (await (await fetch(`${url}/openapi.json`)).json()) as { paths: Record<string, Record<string, { responses: object }>> };
  expect(Object.keys(described.paths)).toEqual(['/v1/sagas', '/v1/sagas/{id}', '/v1/sagas/{id}/retry', '/v1/sagas/{id}/cancel']);
  expect(Object.keys(described.paths['/v1/sagas/{id}/retry']!['post']!.responses)).toEqual(['200', '202', '400', '401', '404', '409', '413', '415', '429', '500', '503']);
});

test('the key of a participant is found as its command is sent', () => {
  const ref = { key: 'demo/o' as RoutingKey, saga: 'order' };
  expect(commandTo(ref, { kind: 'stock', id: 'sku-1' }, { phase: 'hold', attempt: 0, terms: {} }).key).toBe('demo/sku-1');
});
