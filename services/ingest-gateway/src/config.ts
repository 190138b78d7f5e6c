/** The gateway's settings, read from the environment once. */
import { readConfig, setting, type LogLevel } from '@millrace/runtime';
import { z } from 'zod';

const environment = z.object({
  HOST: setting.text().default('127.0.0.1'),
  PORT: setting.port(),
  OPS_HOST: setting.text().default('127.0.0.1'),
  OPS_PORT: setting.port(),
  KAFKA_BROKERS: setting.list(),
  TOPIC_PREFIX: z.string().regex(/^[a-zA-Z0-9._-]{0,64}$/).default(''),
  CONTROL_URL: setting.postgresUrl(),
  SHARDS_FILE: setting.text(),
  API_KEYS_FILE: setting.text(),
  LOG_LEVEL: setting.logLevel().default('info'),
  INSTANCE: setting.text().default('ingest-gateway'),
});

export interface GatewayConfig {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  readonly opsHost: string;
  readonly opsPort: number;
  readonly brokers: readonly string[];
  readonly topicPrefix: string;
  readonly controlUrl: string;
  readonly shardsFile: string;
  readonly apiKeysFile: string;
  readonly logLevel: LogLevel;
  readonly instance: string;
}

/** @throws ConfigError that lists every setting that is missing or wrong. */
export function readGatewayConfig(env: NodeJS.ProcessEnv): GatewayConfig {
  const read = readConfig(environment, env);
  return Object.freeze({
    host: read.HOST,
    port: read.PORT,
    opsHost: read.OPS_HOST,
    opsPort: read.OPS_PORT,
    brokers: read.KAFKA_BROKERS,
    topicPrefix: read.TOPIC_PREFIX,
    controlUrl: read.CONTROL_URL,
    shardsFile: read.SHARDS_FILE,
    apiKeysFile: read.API_KEYS_FILE,
    logLevel: read.LOG_LEVEL,
    instance: read.INSTANCE,
  });
}
