/** Orders over two shards, whole or not at all: sagas in batches against durable workflows, one at a time. */
import type { Bench, Report } from '../harness/bench.ts';
import { findRatio } from '../harness/findings.ts';
import { CONNECTIONS } from '../harness/load.ts';
import { createOrderInstallation, measureOrders, ordersOf } from '../harness/orders.ts';
import { interleave, type Side } from '../harness/rounds.ts';
import { ORDER_SLOTS } from '../orders.ts';
import { dbosOrders, PEER_SHARE } from '../peers/dbos-side.ts';

/** Workflows at once. */
const CONCURRENCIES = [32, 128];

export async function ordersRate(bench: Bench): Promise<Report> {
  const peers = CONCURRENCIES.map((concurrency) => dbosOrders(bench, concurrency));
  const results = await interleave([...peers, millrace(bench)], bench.options.rounds);
  const metric = 'ordersPerSecond';
  return {
    name: 'orders-rate',
    title: 'Orders across shards',
    method: `${ordersOf(bench)} orders, each of one account and two stock lines, one line on each of two shards, over 10,000 accounts and 10,000 skus hit evenly; from the first until all are confirmed, after a tenth as many for warm-up. Millrace: ${CONNECTIONS} connections post to one gateway as fast as they are acknowledged; one writer, one orchestrator, ${ORDER_SLOTS} slots. Peer: ${PEER_SHARE * 100} % of as many, as DBOS workflows of three steps, ${CONCURRENCIES.join(' or ')} at once in one process on the same two Postgres servers; nothing is posted to it.`,
    columns: [
      { metric, title: 'orders/s' },
      { metric: 'ackedPerSecond', title: 'acked/s' },
      { metric: 'gatewayCores', title: 'gateway cores' },
      { metric: 'writerCores', title: 'writer cores' },
      { metric: 'orchestratorCores', title: 'orchestrator cores' },
      { metric: 'workflowCores', title: 'workflow process cores' },
      { metric: 'postgresCores', title: 'Postgres cores' },
      { metric: 'brokerCores', title: 'broker cores' },
      { metric: 'generatorCores', title: 'generator cores' },
      { metric: 'ordersPerCoreSecond', title: 'orders per core second (all servers)' },
    ],
    results,
    findings: peers.map(({ name }) => findRatio(results, { what: `against ${name}`, a: 'millrace', b: name, metric, atLeast: 5 })),
  };
}

function millrace(bench: Bench): Side {
  return {
    name: 'millrace',
    measure: async (round) => {
      const installation = await createOrderInstallation(bench, `orders-${round}`);
      const measure = await measureOrders(bench, installation, { run: 'r00' });
      await installation.remove();
      return measure;
    },
  };
}
