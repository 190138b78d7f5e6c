/** The environment of a shard-writer. */
import { readConfig, setting } from '@millrace/runtime';
import { streamConfigOf, streamSettings } from '@millrace/slot-processor';
import { z } from 'zod';

const schema = z
  .object({
    ...streamSettings,
    GROUP_ID: setting.text().default('shard-writer'),
    INSTANCE: setting.text().default('shard-writer'),
  })
  .transform(streamConfigOf);

export type Config = z.infer<typeof schema>;

/** @throws ConfigError that lists every problem. */
export function configOf(env: NodeJS.ProcessEnv): Config {
  return readConfig(schema, env);
}
