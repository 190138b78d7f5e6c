/** The settings of every process that runs a stream; its service adds the defaults of its own name, and what only it has. */
import { setting } from '@millrace/runtime';
import type { StreamServiceConfig } from './stream-service.ts';

export const streamSettings = {
  KAFKA_BROKERS: setting.list(),
  CONTROL_URL: setting.postgresUrl(),
  SHARDS_FILE: setting.text(),
  TOPIC_PREFIX: setting.text().default(''),
  LOG_LEVEL: setting.logLevel().default('info'),
  OPS_HOST: setting.text().default('127.0.0.1'),
  OPS_PORT: setting.port(),
} as const;

type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

/** What the schema of a service makes of these settings and its own two. */
export interface StreamEnvironment {
  readonly KAFKA_BROKERS: string[];
  readonly CONTROL_URL: string;
  readonly SHARDS_FILE: string;
  readonly TOPIC_PREFIX: string;
  readonly LOG_LEVEL: LogLevel;
  readonly OPS_HOST: string;
  readonly OPS_PORT: number;
  readonly GROUP_ID: string;
  readonly INSTANCE: string;
}

export function streamConfigOf(env: StreamEnvironment): StreamServiceConfig & { readonly logLevel: LogLevel } {
  return {
    kafkaBrokers: env.KAFKA_BROKERS,
    controlUrl: env.CONTROL_URL,
    shardsFile: env.SHARDS_FILE,
    topicPrefix: env.TOPIC_PREFIX,
    groupId: `${env.TOPIC_PREFIX}${env.GROUP_ID}`,
    instance: env.INSTANCE,
    logLevel: env.LOG_LEVEL,
    ops: { host: env.OPS_HOST, port: env.OPS_PORT },
  };
}
