/** What a running local cluster tells its user: addresses, the key, and three requests that work as they stand. */
import type { LocalCluster } from '@millrace/local-cluster';

export function welcome({ dir, file }: LocalCluster): string {
  const { gateway, admin, apiKey, kafka, control, shards } = file;
  const auth = `-H 'Authorization: Bearer ${apiKey}'`;
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
    `  curl -sS -w '\\n' ${gateway}/v1/accounts/alice ${auth}`,
    '',
    'npm run millrace -- status | verify | ring add | parked list | --help.   Ctrl-C stops everything.',
  ].join('\n');
}
