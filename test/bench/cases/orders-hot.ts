/** One sku that half of all orders want, against skus that are wanted evenly. */
import type { Bench, Report } from '../harness/bench.ts';
import { findRatio } from '../harness/findings.ts';
import { createOrderInstallation, measureOrders, ordersOf } from '../harness/orders.ts';
import { interleave, type Side } from '../harness/rounds.ts';

export async function ordersHot(bench: Bench): Promise<Report> {
  const results = await interleave([side(bench, { name: 'uniform', hot: false }), side(bench, { name: 'hot', hot: true })], bench.options.rounds);
  const metric = 'ordersPerSecond';
  return {
    name: 'orders-hot',
    title: 'Orders with a hot sku',
    method: `${ordersOf(bench)} orders as in \`orders-rate\`, until all are confirmed. \`hot\`: every other order wants one and the same sku on its first line. Each side on a fresh installation.`,
    columns: [
      { metric, title: 'orders/s' },
      { metric: 'ackedPerSecond', title: 'acked/s' },
      { metric: 'writerCores', title: 'writer cores' },
      { metric: 'orchestratorCores', title: 'orchestrator cores' },
      { metric: 'postgresCores', title: 'Postgres cores' },
    ],
    results,
    findings: [findRatio(results, { what: 'hot against uniform', a: 'hot', b: 'uniform', metric, atLeast: 0.7 })],
  };
}

function side(bench: Bench, { name, hot }: { readonly name: string; readonly hot: boolean }): Side {
  return {
    name,
    measure: async (round) => {
      const installation = await createOrderInstallation(bench, `orders-${name}-${round}`);
      const measure = await measureOrders(bench, installation, { run: 'r00', hot });
      await installation.remove();
      return measure;
    },
  };
}
