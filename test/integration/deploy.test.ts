/**
 * What is deployed and documented agrees with the source. No servers: these are rules on the text of the repository.
 */
import { describe, expect, test } from '@jest/globals';
import { createRegistry } from '@millrace/runtime';
import { RETENTION_MS } from '@millrace/wire';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const KUBERNETES = 'deploy/kubernetes';
const SERVICES = readdirSync(join(root, 'services')).sort();
/** Services that drain: all but the operator's command. */
const DRAINING = SERVICES.filter((service) => service !== 'cli');

interface Setting {
  readonly name: string;
  /** As docs/configuration.md writes it. */
  readonly default: string;
}

describe.each(SERVICES)('%s', (service) => {
  const settings = settingsOf(service);
  const names = settings.map(({ name }) => name).sort();

  test('its config.ts is understood by this check: one variable a line', () => {
    expect(names.length).toBeGreaterThan(3);
    expect(all(configText(service), /^\s+([A-Z][A-Z0-9_]*):/gm).sort()).toEqual(names);
  });

  test('its manifest sets every environment variable that it reads, and no other', () => {
    const set = all(read(`${KUBERNETES}/${service}.yaml`), /- name: ([A-Z][A-Z0-9_]+)$/gm);
    expect(set.sort()).toEqual(names);
  });

  test('docs/configuration.md has a row for each environment variable, with its default', () => {
    const rows = documented(service);
    expect(rows.map(({ name }) => name).sort()).toEqual(names);
    for (const { name, default: value } of settings) {
      const row = rows.find((one) => one.name === name);
      // The cli's settings are optional: what it finds instead is told in words.
      if (value !== 'optional') expect({ name, default: row?.default }).toEqual({ name, default: value });
    }
  });

  test('its manifest takes settings and secrets only from where they are', () => {
    const manifest = read(`${KUBERNETES}/${service}.yaml`);
    const given = all(read(`${KUBERNETES}/settings.env`), /^([A-Z][A-Z0-9_]+)=/gm);
    for (const key of all(manifest, /configMapKeyRef: \{ name: millrace, key: (\w+) \}/g)) expect(given).toContain(key);
    const secret = read(`${KUBERNETES}/secrets.example.yaml`)
      .split('\n---\n')
      .find((part) => part.includes(`\n  name: ${service}\n`));
    const keys = [...all(manifest, /secretKeyRef: \{ name: [\w-]+, key: ([\w.-]+) \}/g), ...all(manifest, /- \{ key: ([\w.-]+), path: /g)];
    expect(keys.length).toBeGreaterThan(0);
    for (const key of keys) expect(secret).toContain(`\n  ${key}: `);
    expect(new Set([...all(manifest, /secretKeyRef: \{ name: ([\w-]+),/g), ...all(manifest, /secretName: ([\w-]+)/g)])).toEqual(new Set([service]));
  });

  test('its pods run without privileges', () => {
    const manifest = read(`${KUBERNETES}/${service}.yaml`);
    for (const line of ['runAsNonRoot: true', 'readOnlyRootFilesystem: true', 'allowPrivilegeEscalation: false', 'drop: [ALL]', 'automountServiceAccountToken: false', 'type: RuntimeDefault']) {
      expect(manifest).toContain(line);
    }
  });

  test('the base has its manifest and its image', () => {
    const base = read(`${KUBERNETES}/kustomization.yaml`);
    expect(base).toContain(`  - ${service}.yaml\n`);
    expect(base).toContain(`  - name: millrace/${service}\n`);
  });
});

describe.each(DRAINING)('%s, draining', (service) => {
  const manifest = read(`${KUBERNETES}/${service}.yaml`);
  const drainMs = Number(all(limitsText(service), /(?:DRAIN_TIMEOUT_MS = |drainTimeoutMs: )([\d_]+)/g)[0]?.replaceAll('_', ''));
  const graceSeconds = Number(all(manifest, /terminationGracePeriodSeconds: (\d+)/g)[0]);
  const preStopSeconds = Number(all(manifest, /sleep: \{ seconds: (\d+) \}/g)[0] ?? 0);

  test('Kubernetes waits longer than the drain may take', () => {
    expect(drainMs).toBeGreaterThan(0);
    expect((graceSeconds - preStopSeconds) * 1000).toBeGreaterThan(drainMs);
  });

  test('docs/operations.md tells the deadline and the grace', () => {
    const rows = read('docs/operations.md').split('\n').filter((line) => line.startsWith(`| ${service} | `));
    expect(rows.join('\n')).toContain(`| ${drainMs / 1000} s | ${graceSeconds} s`);
  });

  test('it is probed on the ops port', () => {
    for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe']) expect(manifest).toContain(`${probe}:`);
    expect(all(manifest, /httpGet: \{ path: (\/\w+), port: ops \}/g)).toEqual(['/healthz', '/healthz', '/readyz']);
  });

  test('it has a disruption budget', () => {
    expect(manifest).toMatch(new RegExp(`kind: PodDisruptionBudget\nmetadata:\n  name: ${service}\n`));
  });
});

test('operators reach the sagas also while no orchestrator is ready', () => {
  const service = read(`${KUBERNETES}/saga-orchestrator.yaml`).split('\n---\n').find((part) => part.includes('kind: Service\n'));
  expect(service).toContain('\n  publishNotReadyAddresses: true\n');
});

describe('metrics', () => {
  const declared = declaredMetrics();
  const names = new Set(declared.map(({ name }) => name));

  test('a name is declared once in the source', () => {
    expect(declared.length).toBeGreaterThan(20);
    expect(duplicatesOf(declared.map(({ name }) => name))).toEqual([]);
  });

  test.each(['deploy/prometheus/alerts.yaml', 'deploy/grafana/millrace.json'])('%s uses metrics that exist', async (path) => {
    const series = new Set(names);
    for (const { name, kind } of declared) if (kind === 'Histogram') for (const part of ['bucket', 'sum', 'count']) series.add(`${name}_${part}`);
    for (const { name } of await createRegistry().getMetricsAsJSON()) series.add(name);
    const used = new Set(expressionsOf(path).flatMap((expression) => all(expression, /\b((?:millrace|process|nodejs)_\w+)/g)));
    expect(used.size).toBeGreaterThan(10);
    expect([...used].filter((name) => !series.has(name))).toEqual([]);
  });
});

describe('alerts', () => {
  const alerts = read('deploy/prometheus/alerts.yaml').split(/^ {6}- alert: /m).slice(1);

  test('each says what is seen, what it means and what to do', () => {
    expect(duplicatesOf(alerts.map((alert) => alert.split('\n', 1)[0]!))).toEqual([]);
    for (const alert of alerts) {
      expect(alert).toMatch(/severity: (?:page|ticket) /);
      for (const part of ['summary', 'meaning', 'action']) expect(alert).toMatch(new RegExp(`^ {10}${part}: ".{10,}"$`, 'm'));
    }
  });

  test('an alert that is named in a document exists', () => {
    const named = all(read('docs/operations.md'), /`(Millrace\w+)`/g);
    expect(named.length).toBeGreaterThan(0);
    for (const name of named) expect(alerts.some((alert) => alert.startsWith(`${name}\n`))).toBe(true);
  });

  test('the lag alarm fires while most of the retention is left', () => {
    const lag = alerts.find((alert) => alert.startsWith('MillraceLagNearsRetention\n'))!;
    const down = alerts.find((alert) => alert.startsWith('MillraceShardDownNearsRetention\n'))!;
    expect(Number(all(lag, /millrace_lag_seconds\) > (\d+)/g)[0]) * 1000).toBe(RETENTION_MS / 4);
    expect(Number(all(down, /for: (\d+)h/g)[0]) * 3_600_000).toBe(RETENTION_MS / 4);
  });
});

test('the alert of a relay that is stuck names every topic that a stream sends to', () => {
  const [, alert = ''] = /alert: MillraceRelayStuck\n((?:.+\n)+)/.exec(read('deploy/prometheus/alerts.yaml')) ?? [];
  for (const topic of ['outcomes', 'sagas', 'writes']) expect(alert).toMatch(new RegExp(`action: .*\\b${topic}\\b`));
});

describe('error codes', () => {
  test('each error class has a code of its own', () => {
    const codes = sources().flatMap((path) => all(read(path), /readonly code = '(\w+)'/g));
    expect(codes.length).toBeGreaterThan(10);
    expect(duplicatesOf(codes)).toEqual([]);
    // PgError makes its codes from its kinds.
    expect(codes.filter((code) => code.startsWith('postgres_'))).toEqual([]);
  });
});

/** A service that runs a stream has settings and limits that its library holds. */
function runsStream(service: string): boolean {
  return read(`services/${service}/src/config.ts`).includes('    ...streamSettings,\n');
}

function configText(service: string): string {
  const own = read(`services/${service}/src/config.ts`);
  const [shared = ''] = /export const streamSettings = \{\n(?:.+\n)+?\}/.exec(read('libs/slot-processor/src/stream-config.ts')) ?? [];
  return runsStream(service) ? `${shared}\n${own}` : own;
}

function limitsText(service: string): string {
  return read(runsStream(service) ? 'libs/slot-processor/src/service-limits.ts' : `services/${service}/src/limits.ts`);
}

function settingsOf(service: string): readonly Setting[] {
  const lines = configText(service).matchAll(/^\s+([A-Z][A-Z0-9_]*): ((?:setting|z)\..+),$/gm);
  return [...lines].map(([, name, schema]) => ({ name: name!, default: defaultOf(schema!) }));
}

function defaultOf(schema: string): string {
  const given = /\.default\('?([^')]*)'?\)$/.exec(schema)?.[1];
  if (given !== undefined) return given === '' ? 'empty' : `\`${given}\``;
  return schema.endsWith('.optional()') ? 'optional' : 'required';
}

function documented(service: string): readonly Setting[] {
  const section = read('docs/configuration.md').split('\n## ').find((part) => part.startsWith(`${service}\n`)) ?? '';
  const rows = section.matchAll(/^\| `([A-Z][A-Z0-9_]+)` \|.*\| ([^|]+) \|$/gm);
  return [...rows].map(([, name, value]) => ({ name: name!, default: value! }));
}

/** Every metric that the source makes; a name put together from a prefix is found with what completes it. */
function declaredMetrics(): readonly { readonly kind: string; readonly name: string }[] {
  return sources().flatMap((path) => {
    const text = read(path);
    return [...text.matchAll(/new (Counter|Gauge|Histogram)\(\{\s*name: ['`]([^'`]+)['`]/g)].flatMap(([, kind, name]) => {
      if (!name!.endsWith('${name}')) return [{ kind: kind!, name: name! }];
      const prefix = name!.slice(0, -'${name}'.length);
      return all(text, new RegExp(`\\b${kind!.toLowerCase()}\\('(\\w+)'`, 'g')).map((rest) => ({ kind: kind!, name: `${prefix}${rest}` }));
    });
  });
}

/** The PromQL of a dashboard or of a file of rules. */
function expressionsOf(path: string): readonly string[] {
  const text = read(path);
  if (path.endsWith('.yaml')) return all(text, /^ {8}expr: ((?:.|\n {10})+)/gm);
  const { panels } = JSON.parse(text) as { panels: readonly { readonly targets?: readonly { readonly expr: string }[] }[] };
  return panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
}

/** The product's sources, without tests and what is built. */
function sources(): readonly string[] {
  return ['libs', 'services'].flatMap((room) =>
    readdirSync(join(root, room)).flatMap((name) =>
      readdirSync(join(root, room, name, 'src'), { recursive: true, encoding: 'utf8' })
        .filter((file) => file.endsWith('.ts') && !/\.(?:test|d)\.ts$/.test(file))
        .map((file) => join(room, name, 'src', file)),
    ),
  );
}

/** The first group of every match. */
function all(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map((match) => match[1] ?? '');
}

function duplicatesOf(names: readonly string[]): readonly string[] {
  return names.filter((name, index) => names.indexOf(name) !== index);
}
