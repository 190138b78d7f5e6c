/** The environment of `millrace`: where a cluster is that no cluster.json tells of. */
import { readConfig, setting } from '@millrace/runtime';
import { z } from 'zod';

const schema = z
  .object({
    KAFKA_BROKERS: setting.list().optional(),
    CONTROL_URL: setting.postgresUrl().optional(),
    SHARDS_FILE: setting.text().optional(),
    TOPIC_PREFIX: z.string().default(''),
    GATEWAY_URL: z.url().optional(),
    API_KEY: setting.text().optional(),
    TENANT: setting.text().optional(),
    ADMIN_URL: z.url({ protocol: /^https?$/ }).optional(),
    SAGAS_URL: z.url({ protocol: /^https?$/ }).optional(),
    ADMIN_TOKEN_FILE: setting.text().optional(),
  })
  .transform((env) => ({
    kafkaBrokers: env.KAFKA_BROKERS,
    controlUrl: env.CONTROL_URL,
    shardsFile: env.SHARDS_FILE,
    topicPrefix: env.TOPIC_PREFIX,
    gatewayUrl: env.GATEWAY_URL,
    apiKey: env.API_KEY,
    tenant: env.TENANT,
    adminUrl: env.ADMIN_URL,
    sagasUrl: env.SAGAS_URL,
    adminTokenFile: env.ADMIN_TOKEN_FILE,
  }));

export type Config = z.infer<typeof schema>;

/** @throws ConfigError that lists every problem. */
export function configOf(env: NodeJS.ProcessEnv): Config {
  return readConfig(schema, env);
}
