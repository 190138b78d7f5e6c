import { describe, expect, test } from '@jest/globals';
import { createLog, withoutSecrets } from './log.ts';

function logged(write: (log: ReturnType<typeof createLog>) => void): Record<string, unknown> {
  const lines: string[] = [];
  write(createLog({ name: 'test', level: 'trace', destination: { write: (line) => void lines.push(line) } }));
  expect(lines).toHaveLength(1);
  return JSON.parse(lines[0]!) as Record<string, unknown>;
}

describe('a log line', () => {
  test('holds no secret, at whatever depth', () => {
    const cause = new Error('connect postgres://app:geheim1@db:5432/a?sslpassword=geheim2 failed');
    const line = logged((log) =>
      log.error(
        {
          error: new Error('Authorization: Bearer geheim3 refused', { cause }),
          request: { headers: { authorization: 'Bearer geheim4', cookie: 'sid=geheim5' } },
          config: { shards: [{ url: 'postgresql://u:ge"heim6@h/d' }], adminToken: 'geheim\\"7', API_KEY: 'geheim8' },
        },
        'calling with Bearer geheim9',
      ),
    );
    expect(JSON.stringify(line)).not.toMatch(/geheim|heim6/);
    expect(JSON.stringify(line)).toContain('postgres://app:[secret]@db:5432/a');
  });

  test('stays JSON when secrets are struck out', () => {
    const line = withoutSecrets(JSON.stringify({ password: 'a"b\\', next: 'kept', url: 'http://u:p@h/', list: ['Bearer x"y'] }));
    expect(JSON.parse(line)).toEqual({ password: '[secret]', next: 'kept', url: 'http://u:[secret]@h/', list: ['Bearer [secret]"y'] });
  });

  test('writes offsets above 2^53 exactly', () => {
    expect(logged((log) => log.info({ offset: 2n ** 60n }, 'applied')).offset).toBe('1152921504606846976');
  });

  test('keeps what is no secret', () => {
    const line = logged((log) => log.info({ key: 'demo/a', url: 'http://127.0.0.1:80/x', at: '12:30@noon' }, 'bearer of news'));
    expect(line).toMatchObject({ key: 'demo/a', url: 'http://127.0.0.1:80/x', at: '12:30@noon' });
  });
});
