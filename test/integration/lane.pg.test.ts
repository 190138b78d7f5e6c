/** A lane over a real shard whose answers get lost, whose positions are held by a sleeper, whose slots leave, and whose records send much. */
import { expect, test } from '@jest/globals';
import type { Message } from '@millrace/domain';
import { PgError, type Database, type Tx } from '@millrace/postgres';
import { until } from '@millrace/testkit';
import { parseOutcome } from '@millrace/wire';
import { must, type Offset, type RoutingKey } from '@millrace/write';
import { RELAY_TURNS_MAX, TURN_MESSAGES_MAX } from '../../libs/slot-processor/src/limits.ts';
import type { StreamModel } from '../../libs/slot-processor/src/model.ts';
import { writesModel } from '../../services/shard-writer/src/model.ts';
import { connect, database, sliceFrom, slot, startLane, useShard } from './lane-shard.ts';

useShard();

/** The shard, but the answer to some COMMITs is lost: of those that happened, or of those that did not. */
function losing(fates: ('stored' | 'lost' | 'answered')[]): Database {
  const unknown = (): PgError => new PgError('no answer to COMMIT', { kind: 'unknown-commit', database: 'a', statement: 'commit' });
  return {
    ...database,
    async transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
      const fate = fates.shift() ?? 'answered';
      if (fate === 'answered') return database.transaction(work);
      const nothing = new Error('rolled back');
      await database
        .transaction(async (tx) => {
          await work(tx);
          if (fate === 'lost') throw nothing;
        })
        .catch((error: unknown) => {
          if (error !== nothing) throw error;
        });
      throw unknown();
    },
  };
}

async function expectOnce(count: number): Promise<void> {
  expect(await database.query({ text: 'select "offset"::int as at from journal order by 1' })).toEqual(Array.from({ length: count }, (_, at) => ({ at })));
  expect(await database.query({ text: `select next_offset::int as next from position where stream = 'writes' and slot = $1`, values: [slot] })).toEqual([{ next: count }]);
  expect(await database.query({ text: 'select balance::int as balance from account' })).toEqual([{ balance: (count - 1) * 100 }]);
}

test.each([
  ['happened', ['stored']],
  ['did not happen', ['lost']],
  ['sometimes happened', ['lost', 'stored', 'lost', 'lost', 'stored', 'stored', 'answered', 'lost', 'stored']],
] as const)('W5 an unknown commit that %s is read again: nothing is lost or doubled, on the shard or in what is published', async (_, fates) => {
  const running = startLane(losing([...fates]));
  for (let from = 0; from < 40; from += 10) {
    running.lane.offer(sliceFrom(from, from + 10));
    await until('the records are applied', () => running.applied() === BigInt(from + 10));
  }
  await expectOnce(40);
  await until('all outcomes are published', () => running.published.length >= 40);
  const offsets = running.published.map(({ value }) => Number(parseOutcome(Buffer.from(value)).offset));
  expect(offsets).toEqual(Array.from({ length: 40 }, (_, at) => at));
  expect(await running.metric('millrace_duplicates_total')).toBe(0);
  expect(await running.metric('millrace_turn_failures_total')).toBe(fates.filter((fate) => fate !== 'answered').length);
});

test('a session that sleeps inside a COPY while it holds the position is ended by the lane that waits for it', async () => {
  const sleeper = connect('sleeper');
  const asleep = Promise.withResolvers<void>();
  const woken = Promise.withResolvers<void>();
  const sleeping = sleeper.transaction(async (tx) => {
    await tx.query({ text: `select 1 from position where stream = 'writes' and slot = $1 for update`, values: [slot] });
    asleep.resolve();
    await tx.copyIn('copy changed (slot, stream, "offset", "table", key) from stdin', (async function* () {
      yield `${slot}\twrites\t0\taccount\t{late}\n`;
      await woken.promise;
    })());
  });
  const ended = sleeping.then(() => 'committed', (error: unknown) => error);
  await asleep.promise;
  const running = startLane(database);
  running.lane.offer(sliceFrom(0, 5));
  await until('the lane goes on', () => running.applied() === 5n);
  await expectOnce(5);
  expect(await running.metric('millrace_evictions_total')).toBe(1);
  woken.resolve();
  expect(await ended).toBeInstanceOf(PgError);
  expect(await database.query({ text: 'select 1 from changed' })).toEqual([]);
  await sleeper.end();
}, 300_000);

test('W2 a slot that left has all its records given back that are not applied, in order', async () => {
  const running = startLane(database);
  running.lane.offer(sliceFrom(0, 5));
  await until('the first are applied', () => running.applied() === 5n);
  const locked = Promise.withResolvers<void>();
  const offered = Promise.withResolvers<void>();
  const fence = database.transaction(async (tx) => {
    await tx.query({ text: 'select 1 from position where slot = $1 for update', values: [slot] });
    locked.resolve();
    await offered.promise;
    await tx.query({ text: `update slot set state = 'MOVED', moved_to = 'b' where slot = $1`, values: [slot] });
  });
  await locked.promise;
  running.lane.offer(sliceFrom(5, 8));
  await until('the turn is under way', () => running.lane.status().records === 0);
  running.lane.offer(sliceFrom(8, 9));
  running.lane.ask(slot, 9n as Offset);
  offered.resolve();
  await fence;
  await until('the slot is refused', () => running.refused.length > 0);
  const [first] = running.refused;
  expect(first).toMatchObject({ slot, refusal: { kind: 'elsewhere', movedTo: 'b' } });
  expect(must(first, 'a refusal').left.flatMap(({ records }) => records.map(({ offset }) => Number(offset)))).toEqual([5, 6, 7, 8]);
  expect(running.lane.status().records).toBe(0);
  await expectOnce(5);
});

test('a slot that is held is given back with the time that it waits, and applies afterwards', async () => {
  const running = startLane(database);
  await database.query({ text: `update slot set held_until = clock_timestamp() + interval '1 hour' where slot = $1`, values: [slot] });
  running.lane.offer(sliceFrom(0, 3));
  await until('the slot is refused', () => running.refused.length > 0);
  expect(running.refused[0]).toMatchObject({ refusal: { kind: 'held', forMs: 1_000 } });
  await database.query({ text: 'update slot set held_until = null' });
  for (const slice of must(running.refused[0], 'a refusal').left) running.lane.offer(slice);
  await until('the slot goes on', () => running.applied() === 3n);
  await expectOnce(3);
});

test('a turn has no more records than its stream allows', async () => {
  let turns = 0;
  const counting: Database = { ...database, transaction: (work, limits) => ((turns += 1), database.transaction(work, limits)) };
  const running = startLane(counting, { model: { ...writesModel, turnRecordsMax: 4 } });
  running.lane.offer(sliceFrom(0, 10));
  await until('all are applied', () => running.applied() === 10n);
  expect(turns).toBe(3);
});

test('a turn that sends too much is stored by halves, each behind the one before, and no more of them than may wait for Kafka', async () => {
  const each = Math.ceil(TURN_MESSAGES_MAX / 3);
  const message: Message = { stream: 'sagas', key: 'demo/a' as RoutingKey, type: 'toy', idempotencyKey: 'toy', data: {} };
  const sending: StreamModel = {
    ...writesModel,
    command(envelope, at) {
      const command = writesModel.command(envelope, at);
      return 'poison' in command ? command : { ...command, apply: (rows) => ({ ...command.apply(rows), messages: new Array<Message>(each).fill(message) }) };
    },
  };
  const taking = Promise.withResolvers<void>();
  const running = startLane(database, { model: sending, taking: taking.promise });
  running.lane.offer(sliceFrom(0, 12));
  const applied = async (): Promise<number> => Number(must((await database.query<{ next: number }>({ text: `select next_offset::int as next from position where stream = 'writes' and slot = $1`, values: [slot] }))[0], 'a row').next);
  await until('the lane waits for Kafka', async () => running.lane.status().busySinceMs === undefined && (await running.metric('millrace_relay_backlog_turns')) >= RELAY_TURNS_MAX);
  expect(await applied()).toBeLessThanOrEqual(2 * RELAY_TURNS_MAX);
  taking.resolve();
  await until('all are applied', () => running.applied() === 12n);
  await expectOnce(12);
  await until('all is sent', () => running.sent.length === 12 * each);
  expect(await database.query({ text: 'select 1 from parked' })).toEqual([]);
  expect(await running.metric('millrace_parked_total')).toBe(0);
}, 300_000);
