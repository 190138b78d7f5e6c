/**
 * Peer: Debezium's JDBC sink in Connect standalone, upserting the payment table of one database.
 *
 * It gets the best that it documents: batches of 2,000 with the driver's rewriting of batched inserts, polls as large
 * as its batches, one task a core at most, the schema held by the converter; `unnest` turns on its faster insert.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Program } from '../harness/children.ts';
import { ensureConnectJars } from './connect-jars.ts';

const BATCH_RECORDS = 2_000;

export interface JdbcSinkOptions {
  readonly name: string;
  /** For the connector's files; made anew. */
  readonly dir: string;
  readonly brokers: readonly string[];
  readonly topic: string;
  readonly databaseUrl: string;
  readonly tasks: number;
  readonly restPort: number;
  readonly unnest: boolean;
}

const RECORD_SCHEMA = {
  type: 'struct',
  fields: [
    { field: 'type', type: 'string' },
    { field: 'idempotency_key', type: 'string' },
    {
      field: 'data',
      type: 'struct',
      fields: ['payment', 'account', 'amount', 'currency', 'order'].map((field) => ({ field, type: 'string' })),
    },
  ],
};

const LOG4J = `<Configuration status="WARN">
  <Appenders><Console name="out"><PatternLayout pattern="%d %p %c{1}: %m%n"/></Console></Appenders>
  <Loggers><Root level="WARN"><AppenderRef ref="out"/></Root></Loggers>
</Configuration>
`;

/** The program that runs the sink until SIGTERM; each `name` is a consumer group of its own. */
export async function jdbcSink(options: JdbcSinkOptions): Promise<Program> {
  const jars = await ensureConnectJars();
  rmSync(options.dir, { recursive: true, force: true });
  mkdirSync(options.dir, { recursive: true });
  const files = { worker: join(options.dir, 'worker.properties'), sink: join(options.dir, 'sink.properties'), log4j: join(options.dir, 'log4j2.xml') };
  writeFileSync(files.worker, properties(workerSettings(options)));
  writeFileSync(files.sink, properties(sinkSettings(options)));
  writeFileSync(files.log4j, LOG4J);
  const jvm = ['-Xms512m', '-Xmx1g', `-Dlog4j2.configurationFile=file:${files.log4j}`, '-cp', join(jars, '*')];
  return { name: options.name, command: 'java', args: [...jvm, 'org.apache.kafka.connect.cli.ConnectStandalone', files.worker, files.sink] };
}

function workerSettings({ brokers, dir, restPort }: JdbcSinkOptions): Record<string, string> {
  return {
    'bootstrap.servers': brokers.join(','),
    'key.converter': 'org.apache.kafka.connect.storage.StringConverter',
    'value.converter': 'org.apache.kafka.connect.json.JsonConverter',
    'value.converter.schemas.enable': 'true',
    'value.converter.schema.content': JSON.stringify(RECORD_SCHEMA),
    'offset.storage.file.filename': join(dir, 'offsets'),
    'connector.client.config.override.policy': 'All',
    'listeners': `http://127.0.0.1:${restPort}`,
    // Everything is on the class path: its plugin isolation loads two Jacksons.
    'plugin.discovery': 'only_scan',
  };
}

function sinkSettings({ name, topic, databaseUrl, tasks, unnest }: JdbcSinkOptions): Record<string, string> {
  const url = new URL(databaseUrl);
  return {
    'name': name,
    'connector.class': 'io.debezium.connector.jdbc.JdbcSinkConnector',
    'tasks.max': String(tasks),
    'topics': topic,
    'consumer.override.auto.offset.reset': 'earliest',
    'consumer.override.max.poll.records': String(BATCH_RECORDS),
    'connection.url': `jdbc:postgresql://${url.host}${url.pathname}?reWriteBatchedInserts=true`,
    'connection.username': decodeURIComponent(url.username),
    'connection.password': decodeURIComponent(url.password),
    'insert.mode': 'upsert',
    'primary.key.mode': 'record_value',
    'primary.key.fields': 'payment',
    'schema.evolution': 'none',
    'quote.identifiers': 'true',
    'collection.name.format': 'payment',
    'batch.size': String(BATCH_RECORDS),
    'dialect.postgres.unnest.insert.enabled': String(unnest),
    'transforms': 'data',
    'transforms.data.type': 'org.apache.kafka.connect.transforms.ExtractField$Value',
    'transforms.data.field': 'data',
  };
}

function properties(settings: Record<string, string>): string {
  return Object.entries(settings)
    .map(([key, value]) => `${key}=${value.replaceAll('\\', '\\\\')}\n`)
    .join('');
}
