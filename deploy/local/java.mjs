/** Java for the brokers, and Maven for their jars. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

import { node24 } from './platform.mjs';
import { cleanEnv, runQuietly, say, SetupError } from './process.mjs';

const JAVA_MIN = 17;
const JRE_PACKAGES = ['openjdk-17-jre-headless', 'openjdk-21-jre-headless', 'openjdk-25-jre-headless'];
const JRE_PACKAGE_DEFAULT = 'default-jre-headless';

/** Installs what is missing where that is possible. @throws SetupError that says what to install. */
export async function ensureJava(root) {
  const missing = missingTools(root);
  if (missing.length === 0) return;
  if (process.getuid() === 0 && succeeds('apt-get', ['--version'])) await installByApt(missing);
  const still = missingTools(root);
  if (still.length > 0) throw new SetupError(adviceFor(still));
}

/** Kafka's jars, in a cache that outlives the clone. Needs the build. */
export async function ensureJars(root) {
  if (hasJars(root)) return;
  const script = "const { ensureKafkaJars } = await import('./libs/local-cluster/dist/index.js'); await ensureKafkaJars();";
  await runQuietly(node24(root), ['--input-type=module', '--eval', script], { cwd: root, step: "bringing Kafka's jars (Maven, 44 MB)" });
}

/** Whether the very version that the cluster runs is in the cache: the answer of `hasKafkaJars`, before the build. */
export function hasJars(root, env = process.env) {
  const wished = env.XDG_CACHE_HOME;
  const cache = join(wished !== undefined && isAbsolute(wished) ? wished : join(homedir(), '.cache'), 'millrace');
  return existsSync(join(cache, `kafka-${kafkaVersion(root)}`));
}

function kafkaVersion(root) {
  const file = join(root, 'libs/local-cluster/src/kafka-pom.ts');
  const found = /^export const KAFKA_VERSION = '([^']+)';$/m.exec(readFileSync(file, 'utf8'));
  if (found === null) throw new Error(`${file} names no KAFKA_VERSION in a line of its own`);
  return found[1];
}

function missingTools(root) {
  const major = javaMajor();
  return [
    ...(major === undefined || major < JAVA_MIN ? [{ name: 'java', found: major }] : []),
    // Once the jars are there Maven has done its work.
    ...(hasJars(root) || succeeds('mvn', ['-v']) ? [] : [{ name: 'maven' }]),
  ];
}

async function installByApt(missing) {
  say(`missing: ${missing.map((tool) => tool.name).join(', ')}; you are root on a Debian-like system, so apt-get installs it`);
  const env = { ...cleanEnv(), DEBIAN_FRONTEND: 'noninteractive' };
  await runQuietly('apt-get', ['update', '-q'], { env, step: 'apt-get update' });
  const packages = missing.map((tool) => (tool.name === 'java' ? javaPackage() : 'maven'));
  await runQuietly('apt-get', ['install', '-y', '-q', '--no-install-recommends', ...packages], { env, step: `apt-get install ${packages.join(' ')}` });
}

function javaPackage() {
  return JRE_PACKAGES.find((name) => succeeds('apt-cache', ['show', name])) ?? JRE_PACKAGE_DEFAULT;
}

function adviceFor(missing) {
  const lines = missing.map(({ name, found }) => {
    if (name === 'maven') return '  Maven (mvn), which brings the jars of Kafka';
    return `  Java ${JAVA_MIN} or later, which Kafka runs on${found === undefined ? '' : ` (the one here is Java ${found})`}`;
  });
  return [
    'Please install:',
    ...lines,
    '',
    '  Debian, Ubuntu   sudo apt-get install default-jre-headless maven',
    '                   (openjdk-17-jre-headless on Debian 11 and Ubuntu 22.04, where the default is Java 11)',
    '  Fedora           sudo dnf install java-21-openjdk-headless maven',
    '  Arch             sudo pacman -S jre-openjdk-headless maven',
    '',
    'and start again.',
  ].join('\n');
}

/** `openjdk version "17.0.15"`, on standard error; undefined where there is no Java. */
function javaMajor() {
  const { stderr, error } = spawnSync('java', ['-version'], { encoding: 'utf8' });
  if (error !== undefined) return undefined;
  const version = /version "(\d+)(?:\.(\d+))?/.exec(stderr);
  if (version === null) return undefined;
  return Number(version[1] === '1' ? version[2] : version[1]);
}

function succeeds(command, args) {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0;
}
