import { describe, expect, test } from '@jest/globals';
import { type Row, type Rows, REFUSALS, writeTypes } from '@millrace/domain';
import { ID_PATTERN, IDEMPOTENCY_KEY_PATTERN, type Offset, type Tenant, routingKey } from '@millrace/write';
import { type Work, keyOf } from '../write.ts';
import { createGenerator } from './generator.ts';

const tenant = 'demo' as Tenant;

describe('the generator', () => {
  test('gives the same stream for the same options', () => {
    const options = { seed: 'one', writes: 500 };
    expect([...createGenerator(options)]).toEqual([...createGenerator(options)]);
    expect([...createGenerator(options)]).not.toEqual([...createGenerator({ ...options, seed: 'two', run: 'one' })]);
  });

  test.each([0, 1, 7, 1_000])('gives exactly %d writes, each under an idempotency key of its own (G2)', (writes) => {
    const works = [...createGenerator({ seed: 'count', writes })];
    const firsts = works.filter(({ kind }) => kind === 'write');
    expect(firsts).toHaveLength(writes);
    expect(new Set(firsts.map(({ idempotencyKey }) => idempotencyKey)).size).toBe(writes);
  });

  test('gives another run nothing of this one but the skus (G3)', () => {
    const idsOf = (run: string): Set<string> => {
      const works = [...createGenerator({ seed: 'same', run, writes: 2_000 })];
      return new Set(works.flatMap(({ body, idempotencyKey }) => [`key ${idempotencyKey}`, keyOf(body)]));
    };
    const first = idsOf('monday');
    const shared = [...idsOf('tuesday')].filter((id) => first.has(id));
    expect(shared.every((id) => id.startsWith('sku-'))).toBe(true);
  });

  test('gives writes of every type, every refusal, repeats and mismatches', () => {
    const works = [...createGenerator({ seed: 'all', writes: 20_000 })];
    expect(new Set(works.map(({ body }) => body.type))).toEqual(new Set(writeTypes.keys()));
    const owed = new Set(works.flatMap(({ refusal, answers = [] }) => [...answers, ...(refusal ? [refusal] : [])]).filter((code) => code in REFUSALS));
    const ofOperators = ['cancelled_by_operator', 'already_ended', 'skipped_by_operator', 'not_parked', 'still_parked'];
    const unreached = ['balance_overflow', 'stock_overflow', 'already_released', ...ofOperators];
    expect([...owed, ...unreached].sort()).toEqual(Object.keys(REFUSALS).sort());
    expect(new Set(works.map(({ kind }) => kind))).toEqual(new Set(['write', 'repeat', 'mismatch']));
    const currencies = works.flatMap(({ body }) => (body.type === 'account.open' ? [body.data.currency] : []));
    expect(currencies).toEqual(expect.arrayContaining(['GBP', 'JPY', 'KWD']));
  });

  test('knows the outcome of each write where sagas take and give nothing: the domain, folding the stream in its order, agrees (G1)', () => {
    const rows = createRows();
    for (const work of createGenerator({ seed: 'outcomes', writes: 20_000 })) {
      if (work.kind === 'write') expect({ work, ...fold(rows, work) }).toEqual({ work, code: work.refusal });
      else parseBody(work);
    }
  });

  test('sends to hot keys far more often than to cold ones', () => {
    const counts = new Map<string, number>();
    for (const { body } of createGenerator({ seed: 'hot', writes: 20_000, accounts: 1_000 })) {
      const key = keyOf(body);
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    const sorted = [...counts.values()].sort((a, b) => b - a);
    expect(sorted[0]!).toBeGreaterThan(20 * sorted[Math.floor(sorted.length / 2)]!);
  });

  test('repeats only what was written before, byte for byte', () => {
    const seen = new Map<string, Work>();
    for (const work of createGenerator({ seed: 'echo', writes: 5_000 })) {
      expect(work.idempotencyKey).toMatch(IDEMPOTENCY_KEY_PATTERN);
      expect(keyOf(work.body)).toMatch(ID_PATTERN);
      const first = seen.get(work.idempotencyKey);
      if (work.kind === 'write') seen.set(work.idempotencyKey, work);
      else expect(keyOf(first!.body)).toBe(keyOf(work.body));
      if (work.kind === 'repeat') expect(work.body).toEqual(first!.body);
      if (work.kind === 'mismatch') expect(work.body).not.toEqual(first!.body);
    }
  });
});

type Stored = Rows & { put(table: string, key: readonly string[], row: Row): void };

function createRows(): Stored {
  const rows = new Map<string, unknown>();
  return {
    get: <R>({ name }: { name: string }, key: readonly string[]) => rows.get([name, ...key].join(' ')) as R | undefined,
    put: (name, key, row) => void rows.set([name, ...key].join(' '), row),
  };
}

function parseBody({ body }: Work): unknown {
  return writeTypes.get(body.type)!.schema.parse(body.data);
}

function fold(rows: Stored, work: Work): { code: string | undefined } {
  const writeType = writeTypes.get(work.body.type)!;
  const data = parseBody(work);
  const at = { key: routingKey(tenant, writeType.id(data)), tenant, atMs: 0, offset: 0n as Offset };
  expect(writeType.id(data)).toBe(keyOf(work.body));
  const decision = writeType.apply(rows, at, data);
  if (decision.outcome === 'refused') return { code: decision.code };
  for (const { table, row } of decision.changes) {
    rows.put(table.name, table.key.map((column) => String(row[column])), row);
  }
  return { code: undefined };
}
