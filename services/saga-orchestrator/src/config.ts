/** The environment of a saga-orchestrator. */
import { readConfig, setting } from '@millrace/runtime';
import { z } from 'zod';

const schema = z
  .object({
    KAFKA_BROKERS: setting.list(),
    CONTROL_URL: setting.postgresUrl(),
    SHARDS_FILE: setting.text(),
    TOPIC_PREFIX: z.string().default(''),
    GROUP_ID: setting.text().default('saga-orchestrator'),
    INSTANCE: setting.text().default('saga-orchestrator'),
    LOG_LEVEL: setting.logLevel().default('info'),
    OPS_HOST: setting.text().default('127.0.0.1'),
    OPS_PORT: setting.port(),
  })
  .transform((env) => ({
    kafkaBrokers: env.KAFKA_BROKERS,
    controlUrl: env.CONTROL_URL,
    shardsFile: env.SHARDS_FILE,
    topicPrefix: env.TOPIC_PREFIX,
    groupId: `${env.TOPIC_PREFIX}${env.GROUP_ID}`,
    instance: env.INSTANCE,
    logLevel: env.LOG_LEVEL,
    ops: { host: env.OPS_HOST, port: env.OPS_PORT },
  }));

export type Config = z.infer<typeof schema>;

/** @throws ConfigError that lists every problem. */
export function configOf(env: NodeJS.ProcessEnv): Config {
  return readConfig(schema, env);
}
