import { createHash, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createLog } from '@millrace/runtime';
import { createApiKeys, type ApiKeys } from './api-keys.ts';
import { parseKeys } from './keys-file.ts';

const sha256 = (key: string): string => createHash('sha256').update(key).digest('hex');
const fileOf = (keys: Readonly<Record<string, string>>): string =>
  JSON.stringify({ keys: Object.entries(keys).map(([key, tenant]) => ({ sha256: sha256(key), tenant })) });

describe('the file of API keys', () => {
  test('two keys may name one tenant', () => {
    expect(parseKeys(fileOf({ one: 'demo', two: 'demo' }), 10).map(({ tenant }) => tenant)).toEqual(['demo', 'demo']);
  });

  test.each([
    ['no JSON', '{', 'is not JSON'],
    ['no keys', '{"keys": []}', 'keys'],
    ['a key in clear', '{"keys": [{"sha256": "secret", "tenant": "demo"}]}', '64 hex characters'],
    ['a tenant in capitals', `{"keys": [{"sha256": "${sha256('a')}", "tenant": "Demo"}]}`, 'tenant'],
    ['a key twice', `{"keys": [{"sha256": "${sha256('a')}", "tenant": "a"}, {"sha256": "${sha256('a').toUpperCase()}", "tenant": "b"}]}`, 'twice'],
    ['too many keys', fileOf({ a: 'a', b: 'b', c: 'c' }), 'more than 2'],
  ])('%s is refused, and the message does not quote the file', (_case, text, message) => {
    expect(() => parseKeys(text, 2)).toThrow(message);
    expect(() => parseKeys(text, 2)).not.toThrow('secret');
  });
});

describe('API keys', () => {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-keys-'));
  let file: string;
  let reloads: boolean[];
  let keys: ApiKeys;
  beforeEach(() => {
    file = join(dir, randomUUID());
    reloads = [];
    writeFileSync(file, fileOf({ 'key-1': 'demo', 'key-2': 'other' }));
    keys = createApiKeys({ file, keysMax: 10, log: createLog({ name: 'test', level: 'silent' }), onReload: (ok) => reloads.push(ok) });
  });
  afterEach(() => keys.stop());
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  test('a key names its tenant, also the second time', () => {
    for (let i = 0; i < 2; i += 1) {
      expect(keys.tenantOf('Bearer key-1')).toBe('demo');
      expect(keys.tenantOf('bearer key-2')).toBe('other');
    }
  });

  test.each([undefined, '', 'Bearer', 'Bearer ', 'Basic key-1', 'key-1', 'Bearer key-1 ', 'Bearer key-3', `Bearer ${sha256('key-1')}`, `Bearer ${'x'.repeat(600)}`])('%s names nobody', (header) => {
    expect(keys.tenantOf(header)).toBeUndefined();
  });

  test('a reload takes keys away and brings new ones', () => {
    expect(keys.tenantOf('Bearer key-1')).toBe('demo');
    writeFileSync(file, fileOf({ 'key-3': 'third' }));
    keys.reload();
    expect(keys.tenantOf('Bearer key-1')).toBeUndefined();
    expect(keys.tenantOf('Bearer key-3')).toBe('third');
  });

  test('a file that cannot be used leaves the keys in force and alarms', () => {
    writeFileSync(file, '{');
    keys.reload();
    expect(keys.tenantOf('Bearer key-1')).toBe('demo');
    expect(reloads).toEqual([true, false]);
  });
});
