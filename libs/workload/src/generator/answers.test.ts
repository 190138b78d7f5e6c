/** What the generator expects of sagas, against the domain and the sagas themselves, in any order of their messages. */
import { describe, expect, test } from '@jest/globals';
import { type At, type Decision, type Message, type Row, type Rows, type Table, commandTypes, followUpKey, hold, saga, writeTypes } from '@millrace/domain';
import { isOpen, sagaOf, sagaRecordTypes } from '@millrace/saga';
import { type Offset, type RoutingKey, type Tenant, routingKey } from '@millrace/write';
import fc from 'fast-check';
import { type Work, keyOf } from '../write.ts';
import { createGenerator } from './generator.ts';
import { type Random, createRandom } from './random.ts';

const tenant = 'demo' as Tenant;
const HASTY_MS = 1_000;

/** Both streams in memory: each key in order, and nothing in order across keys. */
function createWorld(random: Random) {
  const rows = new Map<string, Row>();
  const queues = new Map<string, Message[]>();
  const waiting: string[] = [];
  const known = new Set<string>();
  const outcomes = new Map<string, { offset: bigint; decision: Decision }>();
  let offset = 0n;

  const nameOf = (table: { name: string }, key: readonly string[]): string => [table.name, ...key].join(' ');
  const reader: Rows = { get: <R>(table: Table<R>, key: readonly string[]) => rows.get(nameOf(table, key)) as R | undefined };
  function append(message: Message): void {
    const name = `${message.stream} ${message.key}`;
    const queue = queues.get(name);
    if (queue?.push(message) === undefined) queues.set(name, [message]);
    waiting.push(name);
  }
  function step(): boolean {
    if (waiting.length === 0) return false;
    const at = random.below(waiting.length);
    const name = waiting[at]!;
    waiting[at] = waiting.at(-1)!;
    waiting.pop();
    apply(queues.get(name)!.shift()!);
    return true;
  }
  function apply(message: Message): void {
    const { stream, key, type, idempotencyKey, data } = message;
    const digest = `${stream} ${key} ${idempotencyKey}`;
    if (known.has(digest)) return;
    known.add(digest);
    // A timer is fired when it is due.
    const atMs = type === 'saga.timeout' ? (data as { readonly due_ms: number }).due_ms : Number(offset);
    const at: At = { key, tenant, atMs, offset: offset++ as Offset };
    const decision = stream === 'sagas' ? sagaRecordTypes.get(type)!.apply(reader, at, data) : applyWrite(type, at, data);
    outcomes.set(digest, { offset: at.offset, decision });
    for (const { table, row } of decision.outcome === 'applied' ? decision.changes : []) {
      rows.set(nameOf(table, table.key.map((column) => String(row[column]))), row);
    }
    for (const sent of decision.messages ?? []) for (let copies = random.chance(0.1) ? 2 : 1; copies > 0; copies--) append(sent);
    if (type === 'order.start' && decision.outcome === 'applied') hurry(key);
  }
  /** Some orders in haste miss their deadline. */
  function hurry(key: RoutingKey): void {
    const { due_ms: due, started_ms: started } = reader.get(saga, [key, 'order'])!;
    if (Number(due! - started) !== HASTY_MS || random.chance(0.5)) return;
    append({ stream: 'sagas', key, type: 'saga.timeout', idempotencyKey: 'timeout', data: { saga: 'order', due_ms: Number(due) } });
  }
  function applyWrite(type: string, at: At, data: unknown): Decision {
    const writeType = writeTypes.get(type) ?? commandTypes.get(type)!;
    return writeType.apply(reader, at, writeType.schema.parse(data));
  }
  const endOf = (key: string, name: string): string => {
    const row = reader.get(saga, [key, name]);
    if (row === undefined) return 'none';
    const found = sagaOf(row);
    if (isOpen(found)) return 'open';
    return found.state === 'confirmed' ? 'confirmed' : found.cause.code;
  };
  return { append, step, rows, reader, outcomes, endOf };
}
type World = ReturnType<typeof createWorld>;

const keyed = (work: Work): RoutingKey => routingKey(tenant, keyOf(work.body));

function answerTo(world: World, work: Work): string {
  const key = keyed(work);
  const { offset } = world.outcomes.get(`writes ${key} ${work.idempotencyKey}`)!;
  const { decision } = world.outcomes.get(`sagas ${key} ${followUpKey(offset)}`)!;
  if (decision.outcome === 'refused') return decision.code;
  switch (work.body.type) {
    case 'order.place':
      return world.endOf(key, 'order');
    case 'order.cancel':
      return 'cancelling';
    case 'order.return':
      return world.endOf(key, `return/${work.body.data.return ?? `auto-${offset}`}`);
    case 'transfer.place':
      return world.endOf(key, 'transfer');
    default:
      throw new Error(`${work.body.type} begins no saga`);
  }
}

describe('what the generator expects of sagas', () => {
  test('is what they answer, whatever the timing; all of them end, and nothing stays held (G4)', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 8 }), fc.integer({ min: 0, max: 40 }), (seed, stepsMax) => {
        const random = createRandom(`world ${seed}`);
        const world = createWorld(random);
        const works: Work[] = [];
        for (const work of createGenerator({ seed, run: 'r', writes: 1_000, accounts: 30, skus: 40 })) {
          for (let steps = random.below(stepsMax + 1); steps > 0; steps--) world.step();
          if (work.onceEnded) awaitEnd(world, work);
          world.append({ stream: 'writes', key: keyed(work), type: work.body.type, idempotencyKey: work.idempotencyKey, data: work.body.data });
          if (work.kind === 'write') works.push(work);
        }
        while (world.step());
        for (const work of works) checkOutcome(world, work);
        for (const [name, row] of world.rows) {
          if (name.startsWith(`${hold.name} `)) expect({ name, state: row['state'] }).not.toEqual({ name, state: 'held' });
          if (name.startsWith(`${saga.name} `)) expect(['confirmed', 'rejected', 'cancelled']).toContain(row['state']);
        }
      }),
      { numRuns: 15 },
    );
  });
});

function awaitEnd(world: World, { onceEnded }: Work): void {
  const key = routingKey(tenant, onceEnded!.order);
  const state = (): string => world.reader.get(saga, [key, 'order'])?.state ?? 'none';
  while (!['confirmed', 'rejected', 'cancelled'].includes(state())) expect(world.step()).toBe(true);
  expect(onceEnded!.as).toContain(state());
}

function checkOutcome(world: World, work: Work): void {
  const { decision } = world.outcomes.get(`writes ${keyed(work)} ${work.idempotencyKey}`)!;
  expect({ work, code: decision.outcome === 'refused' ? decision.code : undefined }).toEqual({ work, code: work.refusal });
  if (work.answers) expect({ work, answers: [...work.answers] }).toEqual({ work, answers: expect.arrayContaining([answerTo(world, work)]) });
}
