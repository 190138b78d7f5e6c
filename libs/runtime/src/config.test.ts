import { describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { ConfigError, readConfig, setting } from './config.ts';

const schema = z
  .object({
    PORT: setting.port().default(8080),
    KAFKA_BROKERS: setting.list(),
    CONTROL_URL: setting.postgresUrl(),
    LOG_LEVEL: setting.logLevel().default('info'),
    TOPIC_PREFIX: z.string().default(''),
  })
  .transform((env) => ({ port: env.PORT, kafka: { brokers: env.KAFKA_BROKERS }, url: env.CONTROL_URL, level: env.LOG_LEVEL }));

function problemsOf(env: NodeJS.ProcessEnv): readonly string[] {
  try {
    readConfig(schema, env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe('the environment', () => {
  test('becomes a typed object that nobody can change', () => {
    const config = readConfig(schema, { KAFKA_BROKERS: 'a:1, b:2,', CONTROL_URL: 'postgres://u:p@h:1/d', PORT: '0' });
    expect(config).toEqual({ port: 0, kafka: { brokers: ['a:1', 'b:2'] }, url: 'postgres://u:p@h:1/d', level: 'info' });
    expect(Object.isFrozen(config) && Object.isFrozen(config.kafka) && Object.isFrozen(config.kafka.brokers)).toBe(true);
  });

  test('reports all its problems together, by variable, without values', () => {
    const problems = problemsOf({ PORT: '70000', CONTROL_URL: 'mysql://u:geheim@h/d', LOG_LEVEL: 'loud' });
    expect(problems.map((line) => line.split(':')[0])).toEqual(['PORT', 'KAFKA_BROKERS', 'CONTROL_URL', 'LOG_LEVEL']);
    expect(problems[1]).toBe('KAFKA_BROKERS: is not set');
    expect(problems.join()).not.toContain('geheim');
  });

  test.each(['abc', '1.5', '-1', ' '])('refuses %p as a port', (port) => {
    expect(problemsOf({ PORT: port, KAFKA_BROKERS: 'a:1', CONTROL_URL: 'postgres://h/d' })).toHaveLength(1);
  });

  test('takes a variable that is set to nothing as not set', () => {
    expect(problemsOf({ PORT: '', KAFKA_BROKERS: '', CONTROL_URL: 'postgres://h/d' })).toEqual(['KAFKA_BROKERS: is not set']);
  });

  test('refuses a list of commas', () => {
    expect(problemsOf({ KAFKA_BROKERS: ' , ,', CONTROL_URL: 'postgres://h/d' })).toHaveLength(1);
  });
});
