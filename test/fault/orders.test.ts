/**
 * Orders across shards while processes die and sleep, shards go down and slots move: each ends whole, or undone.
 *
 * One cluster for all: each fault has a load of its own. In the end every saga has ended, no escrow is left, and the
 * ledger finds every write applied once, money and stock conserved. ORDERS_SEED makes the choices of an earlier run
 * again; with SOAK_MINUTES set the shard is down for a minute.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { countSagas, holdAt, releaseMoves, startOrders, startTestCluster, until, untilSagasEnded, type MoveStepName, type TestCluster } from '@millrace/testkit';
import { createRandom } from '@millrace/workload';
import { must } from '@millrace/write';

const seed = process.env['ORDERS_SEED'] ?? String(Date.now() % 1_000_000);
const random = createRandom(seed);
const DOWN_MS = Number(process.env['SOAK_MINUTES'] ?? '0') > 0 ? 60_000 : 20_000;
/** Between two requests of a sender: a load that leaves the machine time for the rest. */
const PAUSE_MS = 50;
/** Of each load: among so many are some that are confirmed and some that are undone, however slow the machine is. */
const ORDERS_MIN = 40;

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startTestCluster({ shards: 2, writers: 2, orchestrators: 2, env: { MOVES_PER_PAIR: '4' } });
}, 600_000);
afterEach(() => releaseMoves(cluster), 600_000);
afterAll(() => cluster?.stop());

const WORKERS = ['saga-orchestrator-1', 'saga-orchestrator-2', 'shard-writer-1', 'shard-writer-2'] as const;

/** Of the orders of all loads so far. */
let placed = 0;
/** What happened in this test, for whom it fails. */
let said: string[] = [`seed ${seed}`];

async function signal(name: string, what: NodeJS.Signals): Promise<void> {
  said.push(`${what} ${name}`);
  await cluster.local.process(name).kill(what);
}

/** Drives orders while faults happen; afterwards wants every saga ended and the ledger clean. */
async function survives(run: string, faults: () => Promise<unknown>): Promise<void> {
  said = [`seed ${seed}`];
  const load = await startOrders(cluster, { run, pauseMs: PAUSE_MS });
  await faults()
    .then(() => until('orders were placed during the fault and after it', () => load.placed() >= ORDERS_MIN))
    .finally(() => load.stop());
  const { receipts, orders } = await load.stop();
  placed += orders.length;
  const sagas = await untilSagasEnded(cluster, { atLeast: placed });
  expect(sagas.confirmed).toBeGreaterThan(0);
  expect(sagas.undone).toBeGreaterThan(0);
  const verdict = await cluster.verify(receipts, { requireEnded: true });
  expect({ said, differences: verdict.differences }).toEqual({ said, differences: [] });
  expect(verdict).toMatchObject({ clean: true, acked: receipts.length, orders: { open: 0 }, heldForOpen: 0, messagesUnderWay: 0, sumsJudged: true });
  expect(verdict.orders.confirmed + verdict.orders.rejected + verdict.orders.cancelled).toBe(placed);
}

/** So many sagas are under way that a fault hits some in every state. */
const underWay = (): Promise<unknown> => until('sagas are under way', async () => (await countSagas(cluster)).open > 3);

describe('under load', () => {
  test('S1 S4 S5 orchestrators and writers are killed again and again', async () => {
    await survives('kill', async () => {
      for (let i = 0; i < 6; i += 1) {
        await underWay();
        await signal(random.pick(WORKERS), 'SIGKILL');
        await pause(500 + random.below(2_000));
      }
    });
  }, 600_000);

  test('S1 S3 orchestrators and writers sleep at random, some past their sessions, and wake as zombies', async () => {
    await survives('sleep', async () => {
      // In any order, so that short sleeps fall into long ones.
      const sleeps = [300 + random.below(1_000), 300 + random.below(3_000), 11_000 + random.below(3_000), 300 + random.below(3_000), 11_000 + random.below(3_000)];
      const asleep: Promise<void>[] = [];
      const free = new Set<string>(WORKERS);
      const sleep = async (name: string, ms: number): Promise<void> => {
        free.delete(name);
        await signal(name, 'SIGSTOP');
        await pause(ms);
        await signal(name, 'SIGCONT');
        free.add(name);
      };
      await underWay();
      while (sleeps.length > 0) {
        const [ms] = sleeps.splice(random.below(sleeps.length), 1);
        await until('somebody is awake', () => free.size > 0);
        asleep.push(sleep(random.pick([...free]), must(ms, 'one is left')));
        await pause(random.below(2_500));
      }
      await Promise.all(asleep);
      await underWay();
    });
  }, 600_000);

  test('S5 the only broker is killed', async () => {
    await survives('broker', async () => {
      await underWay();
      await signal('kafka-1', 'SIGKILL');
      await pause(6_000);
    });
  }, 600_000);

  test(`S2 S5 a shard is down for ${DOWN_MS / 1000} s: orders that need it wait, the others go on`, async () => {
    await survives('down', async () => {
      await underWay();
      await signal('shard-b', 'SIGSTOP');
      const upAtMs = Date.now() + DOWN_MS;
      try {
        // Twice: from the beginning, and to the end.
        for (const untilMs of [upAtMs - DOWN_MS / 2, upAtMs]) {
          const { ended } = await sagasOn('a');
          await until('orders end that need no row of the shard that is down', async () => (await sagasOn('a')).ended > ended + 3, { deadlineMs: 120_000 });
          await pause(Math.max(0, untilMs - Date.now()));
        }
        expect((await sagasOn('a')).open).toBeGreaterThan(0);
      } finally {
        await signal('shard-b', 'SIGCONT');
      }
    });
  }, 600_000);

  test('S4 the slots of orders, accounts and stock move while their sagas run', async () => {
    await survives('moves', async () => {
      const ids = ['moves-a1', 'moves-s1', 'moves-s2', 'moves-o40', 'moves-o60'];
      const slots = [...new Set(ids.map((id) => cluster.slotOf(id) as number))];
      await underWay();
      for (const slot of slots) {
        const target = (await cluster.ring.slotsOf('a')).includes(slot) ? 'b' : 'a';
        await cluster.ring.untilMove(await cluster.ring.move(slot, target), 'done');
      }
    });
  }, 600_000);

  test('S1 S4 writers, orchestrators, a shard and the ring-manager are killed while slots move', async () => {
    await survives('both', async () => {
      const victims = ['shard-writer-1', 'saga-orchestrator-1', 'shard-writer-2', 'ring-manager', 'shard-b'];
      const steps: readonly MoveStepName[] = ['opened', 'copied', 'fenced'];
      const slots = await cluster.ring.slotsOf('b');
      await underWay();
      // Each move stands at another step, so that every death hits all of them.
      const moves = await Promise.all(
        steps.map(async (step, i) => {
          const slot = must(slots[i], 'shard b has slots');
          const gate = await holdAt(cluster, step, { slot, source: 'b', target: 'a' });
          return { gate, move: await cluster.ring.move(slot, 'a') };
        }),
      );
      await Promise.all(moves.map(({ gate }) => gate.reached()));
      for (const victim of victims) {
        await signal(victim, 'SIGKILL');
        await pause(random.below(800));
      }
      for (const { gate } of moves) await gate.open();
      for (const { move } of moves) await cluster.ring.untilMove(move, 'done');
    });
  }, 600_000);
});

/** Sagas of orders, returns and transfers that stand on a shard. */
async function sagasOn(shard: string): Promise<{ readonly open: number; readonly ended: number }> {
  const [row] = await cluster.shard(shard).query<{ open: number; ended: number }>({
    text: `select count(*) filter (where state in ('reserving', 'confirming', 'undoing'))::int as open,
                  count(*) filter (where state in ('confirmed', 'rejected', 'cancelled'))::int as ended from saga`,
  });
  return must(row, 'a count is one row');
}
