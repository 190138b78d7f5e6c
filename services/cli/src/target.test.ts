import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { configOf } from './config.ts';
import { findTarget, gatewayOf } from './target.ts';
import { UsageError } from './usage-error.ts';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'millrace-target-'));
  mkdirSync(join(dir, 'below'));
});
afterAll(() => rmSync(dir, { recursive: true }));

const SERVERS = { KAFKA_BROKERS: 'k1:9092,k2:9092', CONTROL_URL: 'postgres://u:p@host/db', SHARDS_FILE: '/shards.json' };

test('without a cluster the user is told how to name one', () => {
  expect(() => findTarget(undefined, configOf({}), dir)).toThrow(UsageError);
  expect(() => findTarget('below', configOf({}), dir)).toThrow(/npm start/);
});

test('the environment names a cluster', () => {
  const target = findTarget(undefined, configOf({ ...SERVERS, TOPIC_PREFIX: 'x.' }), dir);
  expect(target).toMatchObject({ kafkaBrokers: ['k1:9092', 'k2:9092'], topicPrefix: 'x.' });
  expect(() => gatewayOf(target)).toThrow(/GATEWAY_URL/);
  const withGateway = configOf({ ...SERVERS, GATEWAY_URL: 'http://gateway', API_KEY: 'k', TENANT: 'demo' });
  expect(gatewayOf(findTarget(undefined, withGateway, dir))).toEqual({ url: 'http://gateway', apiKey: 'k', tenant: 'demo' });
});

test('a directory that is named goes before the environment', () => {
  expect(() => findTarget('below', configOf(SERVERS), dir)).toThrow(/below/);
});
