/** The environment of a ring-manager. */
import { readConfig, setting } from '@millrace/runtime';
import { SLOTS_MAX } from '@millrace/write';
import { z } from 'zod';

const schema = z
  .object({
    KAFKA_BROKERS: setting.list(),
    CONTROL_URL: setting.postgresUrl(),
    SHARDS_FILE: setting.text(),
    TOPIC_PREFIX: z.string().default(''),
    SLOTS: setting.integer(1, SLOTS_MAX).default(64),
    REPLICATION_FACTOR: setting.integer(1, 9).default(1),
    MIN_INSYNC: setting.integer(1, 9).default(1),
    MOVES_PER_PAIR: setting.integer(1, 64).default(1),
    MOVES_MAX: setting.integer(1, 64).default(8),
    MOVE_BYTES_PER_SECOND: setting.integer(65_536, 10_000_000_000).default(100000000),
    MOVE_DUTY_PERCENT: setting.integer(1, 100).default(10),
    STALL_BUDGET_MS: setting.integer(10, 10_000).default(250),
    ADMIN_HOST: setting.text().default('127.0.0.1'),
    ADMIN_PORT: setting.port(),
    ADMIN_TOKEN_FILE: setting.text(),
    INSTANCE: setting.text().default('ring-manager'),
    LOG_LEVEL: setting.logLevel().default('info'),
    OPS_HOST: setting.text().default('127.0.0.1'),
    OPS_PORT: setting.port(),
  })
  .refine((env) => env.MIN_INSYNC <= env.REPLICATION_FACTOR, { path: ['MIN_INSYNC'], message: 'is more than REPLICATION_FACTOR: nothing could ever be acknowledged' })
  .transform((env) => ({
    kafkaBrokers: env.KAFKA_BROKERS,
    controlUrl: env.CONTROL_URL,
    shardsFile: env.SHARDS_FILE,
    topicPrefix: env.TOPIC_PREFIX,
    slots: env.SLOTS,
    replicationFactor: env.REPLICATION_FACTOR,
    minInsync: env.MIN_INSYNC,
    moves: { movesPerPair: env.MOVES_PER_PAIR, movesMax: env.MOVES_MAX, bytesPerSecondMax: env.MOVE_BYTES_PER_SECOND, duty: env.MOVE_DUTY_PERCENT / 100, stallBudgetMs: env.STALL_BUDGET_MS },
    admin: { host: env.ADMIN_HOST, port: env.ADMIN_PORT, tokenFile: env.ADMIN_TOKEN_FILE },
    instance: env.INSTANCE,
    logLevel: env.LOG_LEVEL,
    ops: { host: env.OPS_HOST, port: env.OPS_PORT },
  }));

export type Config = z.infer<typeof schema>;

/** @throws ConfigError that lists every problem. */
export function configOf(env: NodeJS.ProcessEnv): Config {
  return readConfig(schema, env);
}
