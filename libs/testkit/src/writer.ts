/** A shard-writer of the test's own, beside or instead of the cluster's, with any link replaced. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createService, freePort, type Service } from '@millrace/local-cluster';
import { toJson } from '@millrace/wire';
import type { TestCluster } from './cluster.ts';

export interface WriterOptions {
  readonly name: string;
  /** Instead of the shards' own addresses, by id. */
  readonly shardPorts?: Readonly<Record<string, number>>;
}

/** Started and in the consumer group. */
export async function startWriter({ local }: TestCluster, { name, shardPorts = {} }: WriterOptions): Promise<Service> {
  const { file, dir } = local;
  const shardsFile = join(dir, `shards-${name}.json`);
  const urls = file.shards.map(({ id, url }) => [id, withPort(url, shardPorts[id])] as const);
  writeFileSync(shardsFile, toJson(Object.fromEntries(urls)), { mode: 0o600 });
  const opsPort = await freePort();
  const writer = createService({
    service: 'shard-writer',
    name,
    opsPort,
    logFile: join(dir, 'logs', `${name}.log`),
    env: {
      KAFKA_BROKERS: file.kafka.join(','),
      CONTROL_URL: file.control,
      SHARDS_FILE: shardsFile,
      TOPIC_PREFIX: file.topicPrefix,
      INSTANCE: name,
      OPS_PORT: String(opsPort),
    },
  });
  await writer.start();
  return writer;
}

function withPort(url: string, port: number | undefined): string {
  const changed = new URL(url);
  if (port !== undefined) changed.port = String(port);
  return changed.toString();
}
