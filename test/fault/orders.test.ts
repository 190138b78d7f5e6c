/**
 * Orders across shards while processes die and sleep, shards go down and slots move: each ends whole, or undone.
 *
 * One cluster for all: each fault has a load of its own. In the end every saga has ended, no escrow is left, and the
 * ledger finds every write applied once, money and stock conserved.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { countSagas, startOrders, startTestCluster, until, untilSagasEnded, type TestCluster } from '@millrace/testkit';

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startTestCluster({ shards: 2, writers: 2, orchestrators: 2 });
}, 180_000);
afterAll(() => cluster?.stop());

/** Of the orders of all loads so far. */
let placed = 0;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const signal = async (name: string, what: NodeJS.Signals): Promise<unknown> => cluster.local.process(name).kill(what);
const pick = <T>(list: readonly T[]): T => list[Math.floor(Math.random() * list.length)]!;

/** Drives orders while faults happen; afterwards wants every saga ended and the ledger clean. */
async function survives(run: string, faults: () => Promise<unknown>): Promise<void> {
  const load = await startOrders(cluster, { run });
  await faults().finally(() => load.stop());
  const { receipts, orders } = await load.stop();
  expect(orders.length).toBeGreaterThan(20);
  placed += orders.length;
  const sagas = await untilSagasEnded(cluster, { atLeast: placed });
  expect(sagas.confirmed).toBeGreaterThan(0);
  expect(sagas.undone).toBeGreaterThan(0);
  const verdict = await cluster.verify(receipts);
  expect(verdict.differences).toEqual([]);
  expect(verdict).toMatchObject({ clean: true, acked: receipts.length });
}

/** So many sagas are under way that a fault hits some in every state. */
const underWay = (): Promise<unknown> => until('sagas are under way', async () => (await countSagas(cluster)).open > 3);

describe('under load', () => {
  test('S1 S4 S5 orchestrators and writers are killed again and again', async () => {
    await survives('kill', async () => {
      for (let i = 0; i < 6; i++) {
        await underWay();
        await signal(pick(['saga-orchestrator-1', 'saga-orchestrator-2', 'shard-writer-1', 'shard-writer-2']), 'SIGKILL');
        await pause(500 + Math.random() * 2_000);
      }
    });
  }, 240_000);

  test('S1 S3 an orchestrator and a writer sleep past their sessions, and wake as zombies', async () => {
    await survives('sleep', async () => {
      await underWay();
      await Promise.all([signal('saga-orchestrator-2', 'SIGSTOP'), signal('shard-writer-2', 'SIGSTOP')]);
      await pause(12_000);
      await Promise.all([signal('saga-orchestrator-2', 'SIGCONT'), signal('shard-writer-2', 'SIGCONT')]);
      await pause(2_000);
    });
  }, 240_000);

  test('S5 the only broker is killed', async () => {
    await survives('broker', async () => {
      await underWay();
      await signal('kafka-1', 'SIGKILL');
      await pause(6_000);
    });
  }, 240_000);

  test('S2 S5 a shard is down: orders that need it wait, the others go on', async () => {
    await survives('down', async () => {
      await underWay();
      const before = await endedOn('a');
      await signal('shard-b', 'SIGSTOP');
      try {
        await until('orders end that need no row of the shard that is down', async () => (await endedOn('a')) > before + 3, { deadlineMs: 60_000 });
        await pause(3_000);
      } finally {
        await signal('shard-b', 'SIGCONT');
      }
    });
  }, 240_000);

  test('S4 the slots of orders, accounts and stock move while their sagas run', async () => {
    await survives('moves', async () => {
      const ids = ['moves-a1', 'moves-a2', 'moves-s1', 'moves-s2', 'moves-o40', 'moves-o60', 'moves-o80'];
      const slots = [...new Set(ids.map((id) => cluster.slotOf(id) as number))];
      await underWay();
      for (const slot of slots) {
        const target = (await cluster.ring.slotsOf('a')).includes(slot) ? 'b' : 'a';
        await cluster.ring.untilMove(await cluster.ring.move(slot, target), 'done');
      }
    });
  }, 240_000);

  test('S1 S4 a process is killed while slots move', async () => {
    await survives('both', async () => {
      const [slot] = await cluster.ring.slotsOf('b');
      await underWay();
      const move = await cluster.ring.move(slot!, 'a');
      await signal('saga-orchestrator-1', 'SIGKILL');
      await signal('shard-b', 'SIGKILL');
      await signal('ring-manager', 'SIGKILL');
      await cluster.ring.untilMove(move, 'done');
    });
  }, 240_000);
});

/** Sagas that ended on a shard. */
async function endedOn(shard: string): Promise<number> {
  const rows = await cluster.shard(shard).query<{ ended: bigint }>({ text: `select count(*) as ended from saga where state in ('confirmed', 'rejected', 'cancelled')` });
  return Number(rows[0]?.ended ?? 0n);
}
