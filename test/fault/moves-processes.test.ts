/**
 * Processes die and stall while slots are on their way, at every step of a move; afterwards every slot has arrived and
 * every acked write is applied once.
 *
 * Several moves wait at gates, each at the end of another step, so one fault hits all the steps at once. Slots go from
 * shard to shard and back: each test begins where the one before has left them.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createLanes } from '@millrace/kafka';
import { holdAt, releaseMoves, startReader, startTestCluster, statesOf, until, type Gate, type Move, type MoveStepName, type TestCluster } from '@millrace/testkit';
import { encodeWrite } from '@millrace/wire';
import { must } from '@millrace/write';

const SLOTS = 18;
/** So that all of them are under way together. */
const MOVES_AT_ONCE = 16;

let cluster: TestCluster;
beforeAll(async () => {
  const env = { MOVES_PER_PAIR: String(MOVES_AT_ONCE), MOVES_MAX: String(MOVES_AT_ONCE) };
  cluster = await startTestCluster({ shards: 2, writers: 2, ringManagers: 2, slots: SLOTS, env });
  await fill(must((await cluster.ring.slotsOf('a'))[0], 'shard a has a slot'));
  const report = await cluster.drive({ seed: 'before', writes: 5_000 });
  expect(report).toMatchObject({ ending: { is: 'complete' }, acked: 5_000 });
  await cluster.verify();
}, 600_000);
afterEach(() => releaseMoves(cluster), 600_000);
afterAll(() => cluster?.stop());

/** More rows than a mover copies in one chunk. */
const ROWS = 12_000;

async function fill(slot: number): Promise<void> {
  let account = 'heavy';
  while (cluster.slotOf(account) !== slot) account += '-';
  const deposit = (i: number): string => encodeWrite({ type: 'account.deposit', idempotencyKey: `d${i}`, data: { account, amount: '1', currency: 'JPY' } });
  const open = encodeWrite({ type: 'account.open', idempotencyKey: 'open', data: { account, currency: 'JPY' } });
  const records = Array.from({ length: ROWS }, (_, i) => ({ slot: cluster.slotOf(account), key: `demo/${account}`, value: i === 0 ? open : deposit(i) }));
  const lanes = await createLanes({ kafka: cluster.kafka, topic: 'writes', log: cluster.log, limits: { recordsPerRequestMax: 1_000, queuedRecordsMax: 2 * ROWS, queuedBytesMax: 64_000_000, requestTimeoutMs: 10_000 } });
  await lanes.sendMany(records);
  await lanes.close();
}

type Side = 'a' | 'b';

interface Held {
  readonly step: MoveStepName;
  readonly slot: number;
  readonly gate: Gate;
  readonly move: Move;
}

/** Moves of slots of the source, each held at its step. */
async function hold(source: Side, target: Side, steps: readonly MoveStepName[]): Promise<readonly Held[]> {
  const slots = await cluster.ring.slotsOf(source);
  return Promise.all(
    steps.map(async (step, i) => {
      const slot = must(slots[i], `shard ${source} has a slot for ${step}`);
      const gate = await holdAt(cluster, step, { slot, source, target });
      return { step, slot, gate, move: await cluster.ring.move(slot, target) };
    }),
  );
}

const reached = (held: readonly Held[]): Promise<unknown> => Promise.all(held.map(({ gate }) => gate.reached()));
const open = (held: readonly Held[]): Promise<unknown> => Promise.all(held.map(({ gate }) => gate.open()));
const arrived = (held: readonly Held[]): Promise<unknown> => Promise.all(held.map(({ move }) => cluster.ring.untilMove(move, 'done')));

/** Wants a clean ledger, the slots at their target, and no write lost under the load. */
async function survives(run: string, faults: () => Promise<unknown>): Promise<void> {
  const load = cluster.load(run, 100);
  const reader = startReader(cluster, [`${run}-1`, `${run}-2`, `${run}-3`]);
  await faults().finally(() => Promise.all([load.stop(), reader.stop()]));
  const report = await load.stop();
  expect(report).toMatchObject({ ending: { is: 'complete' }, failed: 0, unsettled: 0 });
  expect((await reader.stop()).wrong).toEqual([]);
  const verdict = await cluster.verify(report.receipts, { requireEnded: true });
  expect(verdict.differences).toEqual([]);
  expect(verdict).toMatchObject({ clean: true, sumsJudged: true, moving: 0, acked: report.acked });
}

/** The mover goes on to a later step of the same move, and waits there. */
async function advance(held: Held, step: MoveStepName): Promise<Held> {
  const { slot, move } = held;
  const gate = await holdAt(cluster, step, { slot, source: move.source, target: move.target });
  if (step === 'catching-up') await until(`slot ${slot} is written behind the cursors of its copy`, () => isWritten(held));
  await held.gate.open();
  await gate.reached();
  return { ...held, step, gate };
}

/** Whether the source has applied records that no round has brought yet. */
async function isWritten({ slot, move }: Held): Promise<boolean> {
  const [position] = await cluster.shard(move.source).query<{ next: bigint }>({ text: `select next_offset as next from position where stream = 'writes' and slot = $1`, values: [slot] });
  const [copied] = await cluster.shard(move.target).query<{ writes: bigint }>({ text: `select (progress -> 'cursors' ->> 'writes')::bigint as writes from incoming where slot = $1`, values: [slot] });
  return must(position, 'the source has a position').next > must(copied, 'the copy goes on').writes;
}

function at(held: readonly Held[], step: MoveStepName): Held {
  return must(held.find((one) => one.step === step), `a move waits at ${step}`);
}

/** What the rows say of a slot at the end of a step, on its source and on its target. */
const STATES: Partial<Record<MoveStepName, readonly [string, string]>> = {
  prepared: ['ACTIVE', 'INCOMING'],
  opened: ['MOVING', 'INCOMING'],
  chunk: ['MOVING', 'INCOMING'],
  copying: ['MOVING', 'INCOMING'],
  copied: ['MOVING', 'INCOMING'],
  compared: ['MOVING', 'INCOMING'],
  'catching-up': ['MOVING', 'INCOMING'],
  fencing: ['MOVING', 'INCOMING'],
  fenced: ['MOVED', 'INCOMING'],
  activated: ['MOVED', 'ACTIVE'],
  purging: ['MOVED', 'ACTIVE'],
  purged: ['MOVED', 'ACTIVE'],
};

async function stand(held: readonly Held[]): Promise<void> {
  for (const { step, slot, move } of held) {
    const { [move.source]: source, [move.target]: target } = await statesOf(cluster, slot);
    expect([step, [source, target]]).toEqual([step, STATES[step]]);
  }
}

const process = (name: string) => cluster.local.process(name);

describe('the ring-manager that leads', () => {
  async function isKilledAt(held: readonly Held[]): Promise<void> {
    await stand(held);
    const before = await token();
    await process(must(await cluster.ring.leader(), 'one leads')).kill('SIGKILL');
    await open(held);
    await arrived(held);
    expect(await token()).toBeGreaterThan(before);
  }

  async function token(): Promise<bigint> {
    const [lease] = await cluster.control.query<{ token: bigint }>({ text: 'select token from lease' });
    return must(lease, 'someone has led').token;
  }

  test('is killed with moves at every step up to the end: the next leader takes all of them there', async () => {
    await survives('killed', async () => {
      const held = await hold('a', 'b', ['chunk', 'prepared', 'opened', 'copying', 'copied', 'compared', 'fenced', 'purging', 'purging']);
      await reached(held);
      const last = await advance(held[8]!, 'purged');
      await isKilledAt([...held.slice(0, 8), last]);
    });
  }, 600_000);

  test('is killed in a round, in a fence that is not stored, and before the topology names the new owner', async () => {
    await survives('killed-late', async () => {
      const held = await hold('b', 'a', ['compared', 'compared', 'fenced']);
      await reached(held);
      // Each of the last two holds up more than its own move: they come last, in this order.
      const round = await advance(held[0]!, 'catching-up');
      const fence = await advance(held[1]!, 'fencing');
      const owner = await advance(held[2]!, 'activated');
      await isKilledAt([round, fence, owner]);
    });
  }, 600_000);

  test('sleeps past its lease: the other goes on with its moves, and what the sleeper does when it wakes is lost on the rows', async () => {
    await survives('sleeper', async () => {
      const held = await hold('b', 'a', ['copying', 'compared', 'fenced', 'purging', 'fenced']);
      await reached(held);
      const inTheWay = await advance(held[4]!, 'activated');
      const begun = [...held.slice(0, 4), inTheWay];
      await stand(begun);
      const name = must(await cluster.ring.leader(), 'one leads');
      const sleeper = process(name);
      const pid = sleeper.pid;
      await sleeper.kill('SIGSTOP');
      // The other leader is held in two of the moves while the sleeper wakes in all of them.
      const again = await Promise.all([at(held, 'copying'), at(held, 'compared')].map(async (one, i) => ({ ...one, gate: await holdAt(cluster, i === 0 ? 'compared' : 'fenced', { slot: one.slot, source: 'b', target: 'a' }) })));
      await open(begun);
      await until('the other leads', async () => ((await cluster.ring.leader()) ?? name) !== name);
      await reached(again);
      await sleeper.kill('SIGCONT');
      await until('the sleeper knows that it does not lead', async () => !(await leads(name)));
      await open(again);
      await arrived(held);
      expect(sleeper.pid).toBe(pid);
      expect(await cluster.ring.leader()).not.toBe(name);
    });
  }, 600_000);
});

/** By its own metrics. */
async function leads(name: string): Promise<boolean> {
  const { metrics } = must(cluster.local.file.services.find((service) => service.name === name), `${name} is in cluster.json`);
  return (await (await fetch(metrics)).text()).includes('\nmillrace_ring_leader 1\n');
}

describe('with moves that copy, that are fenced, and that purge', () => {
  test.each([
    ['both writers are', 'a', 'b', ['shard-writer-1', 'shard-writer-2']],
    ['the source is', 'b', 'a', ['shard-b']],
    ['the target is', 'a', 'b', ['shard-b']],
    ['the control database is', 'b', 'a', ['control']],
    ['the only broker is', 'a', 'b', ['kafka-1']],
  ] as const)('%s killed: the moves wait and go on', async (what, source, target, names) => {
    await survives(what.replaceAll(' ', '-').slice(0, 20), async () => {
      const held = await hold(source, target, ['copying', 'fenced', 'purging']);
      await reached(held);
      await stand(held);
      await Promise.all(names.map((name) => process(name).kill('SIGKILL')));
      await open(held);
      await arrived(held);
    });
  }, 600_000);
});
