/** The environment of a saga-orchestrator. */
import { readConfig, setting } from '@millrace/runtime';
import { streamConfigOf, streamSettings } from '@millrace/slot-processor';
import { z } from 'zod';

const schema = z
  .object({
    ...streamSettings,
    GROUP_ID: setting.text().default('saga-orchestrator'),
    INSTANCE: setting.text().default('saga-orchestrator'),
    ADMIN_HOST: setting.text().default('127.0.0.1'),
    ADMIN_PORT: setting.port(),
    ADMIN_TOKEN_FILE: setting.text(),
  })
  .transform((env) => ({
    ...streamConfigOf(env),
    admin: { host: env.ADMIN_HOST, port: env.ADMIN_PORT, tokenFile: env.ADMIN_TOKEN_FILE },
  }));

export type Config = z.infer<typeof schema>;

/** @throws ConfigError that lists every problem. */
export function configOf(env: NodeJS.ProcessEnv): Config {
  return readConfig(schema, env);
}
