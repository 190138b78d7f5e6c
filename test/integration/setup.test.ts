/** What `npm start` does before anything is installed or built (deploy/local). No servers. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { hasKafkaJars, KAFKA_VERSION } from '@millrace/local-cluster';
import { mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');
type Env = Readonly<Record<string, string>>;
let npm: { cleanEnv: (env: Env) => Env };
let java: { hasJars: (root: string, env: Env) => boolean };
let dir: string;

beforeAll(async () => {
  npm = (await import(join(root, 'deploy/local/process.mjs'))) as typeof npm;
  java = (await import(join(root, 'deploy/local/java.mjs'))) as typeof java;
  dir = mkdtempSync(join(tmpdir(), 'millrace-setup-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

test("the user's settings of npm reach the npm that installs", () => {
  const env = {
    PATH: '/bin',
    NPM_CONFIG_REGISTRY: 'https://npm.example/',
    NPM_CONFIG_CAFILE: '/ca.pem',
    npm_config_https_proxy: 'http://proxy.example:3128',
    npm_config_userconfig: '/home/a/.npmrc',
    npm_config_cache: '/cache',
  };
  expect(npm.cleanEnv(env)).toEqual(env);
});

test('what npm tells a running script, and what leaves packages out, does not', () => {
  const names = [
    ...['npm_lifecycle_event', 'npm_lifecycle_script', 'npm_package_name', 'npm_package_json', 'npm_command', 'npm_execpath', 'npm_node_execpath'],
    ...['npm_config_omit', 'NPM_CONFIG_OMIT', 'npm_config_include', 'npm_config_production', 'NPM_CONFIG_ONLY', 'npm_config_allow_scripts'],
    ...['npm_config_loglevel', 'npm_config_local_prefix', 'INIT_CWD', 'NODE_ENV', 'NODE_OPTIONS'],
  ];
  expect(npm.cleanEnv(Object.fromEntries(names.map((name) => [name, 'x'])))).toEqual({});
});

test("only the jars of the cluster's own Kafka version count as there", () => {
  const cache = join(dir, 'millrace');
  const there = (): readonly boolean[] => [java.hasJars(root, { XDG_CACHE_HOME: dir }), hasKafkaJars(cache)];
  expect(there()).toEqual([false, false]);
  mkdirSync(join(cache, 'kafka-4.0.0'), { recursive: true });
  expect(there()).toEqual([false, false]);
  renameSync(join(cache, 'kafka-4.0.0'), join(cache, `kafka-${KAFKA_VERSION}`));
  expect(there()).toEqual([true, true]);
});
