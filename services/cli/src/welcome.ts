/**
 * What a running local cluster tells its user: addresses, the key, and requests that work as they stand, among them an
 * order that goes through and one that is refused and undone.
 */
import type { LocalCluster } from '@millrace/local-cluster';

export function welcome({ dir, file }: LocalCluster): string {
  const { gateway, admin, apiKey, kafka, control, shards } = file;
  const auth = `-H 'Authorization: Bearer ${apiKey}'`;
  const get = (path: string): string => `  curl -sS -w '\\n' ${gateway}${path} ${auth}`;
  const post = (path: string, key: string, body: string): string =>
    `  curl -sS -w '\\n' -X POST ${gateway}${path} ${auth} \\\n` +
    `    -H 'Content-Type: application/json' -H 'Idempotency-Key: ${key}' -H 'Prefer: wait=5' \\\n    -d '${body}'`;
  return [
    '',
    `  HTTP API  ${gateway}   docs ${gateway}/docs`,
    `  API key   ${apiKey}`,
    `  admin     ${admin}`,
    `  Kafka     ${kafka.join(', ')}`,
    `  control   ${control}`,
    ...shards.map(({ id, url }) => `  shard ${id.padEnd(3)} ${url}`),
    `  files     ${dir} (cluster.json, logs/)`,
    '',
    'Try:',
    post('/v1/accounts', 'open-alice', '{"account":"alice","currency":"GBP"}'),
    post('/v1/accounts/alice/deposits', 'deposit-alice-1', '{"amount":"25.00","currency":"GBP"}'),
    post('/v1/stock/tea/receipts', 'receive-tea-1', '{"quantity":10}'),
    post('/v1/orders', 'order-alice-1', orderOf('alice-1', 2)),
    '  # 20 are too many: what was reserved is given back, and the answer says why',
    post('/v1/orders', 'order-alice-2', orderOf('alice-2', 20)),
    get('/v1/orders/alice-2'),
    get('/v1/accounts/alice'),
    '',
    'npm run millrace -- status | verify | ring add | sagas list | parked list | write --help | --help.   README.md: a tour.',
    'Ctrl-C stops everything.',
  ].join('\n');
}

function orderOf(order: string, quantity: number): string {
  return `{"order":"${order}","account":"alice","currency":"GBP","lines":[{"sku":"tea","quantity":${quantity},"unit_price":"1.00"}]}`;
}
