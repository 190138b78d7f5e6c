import { describe, expect, test } from '@jest/globals';
import { ID_PATTERN } from '@millrace/write';
import fc from 'fast-check';
import { z } from 'zod';
import { commandTypes, domainMigrations, REFUSALS, tables, writeTypes } from './index.ts';
import { anyData } from './testing/data.ts';

const types = [...writeTypes.keys()];
const schemaOf = (type: string) => writeTypes.get(type)!.schema;

describe.each(types)('the schema of %s', (type) => {
  const schema = schemaOf(type);
  const data = anyData[type]!;

  test('parsing what it returned changes nothing', () => {
    fc.assert(
      fc.property(data, (body) => {
        const once = schema.parse(body);
        expect(JSON.stringify(schema.parse(once))).toBe(JSON.stringify(once));
      }),
    );
  });

  test('the order of the fields in a body does not reach what it returns', () => {
    fc.assert(
      fc.property(data, (body) => {
        const backwards = Object.fromEntries(Object.entries(body).toReversed());
        expect(JSON.stringify(schema.parse(backwards))).toBe(JSON.stringify(schema.parse(body)));
      }),
    );
  });

  test('what it returns is routed by one of its ids', () => {
    fc.assert(fc.property(data, (body) => expect(writeTypes.get(type)!.id(schema.parse(body))).toMatch(ID_PATTERN)));
  });

  test('a body is left as it was', () => {
    fc.assert(
      fc.property(data, (body) => {
        const before = structuredClone(body);
        schema.parse(body);
        expect(body).toEqual(before);
      }),
    );
  });

  test('an unknown field, of whatever name, is refused', () => {
    fc.assert(
      fc.property(data, fc.constantFrom('__proto__', 'constructor', 'toString', 'capture', ''), (body, name) => {
        const hostile: unknown = JSON.parse(`{${JSON.stringify(name)}:1,${JSON.stringify(body).slice(1)}`);
        expect(schema.safeParse(hostile).error?.issues).toMatchObject([{ code: 'unrecognized_keys', keys: [name] }]);
      }),
    );
  });

  test('a field of another type is refused, never converted', () => {
    fc.assert(
      fc.property(data, fc.nat(), fc.constantFrom(null, true, 1.5, '', [], {}, [1], { a: 1 }), (body, pick, junk) => {
        const fields = Object.keys(body);
        const field = fields[pick % fields.length]!;
        fc.pre(!(field === 'reference' && junk === ''));
        expect(schema.safeParse({ ...body, [field]: junk }).success).toBe(false);
      }),
    );
  });

  test('junk is refused', () => {
    for (const junk of [null, undefined, 1, '', 'x', true, [], {}, [{}]]) expect(schema.safeParse(junk).success).toBe(false);
    fc.assert(fc.property(fc.jsonValue(), (junk) => expect(schema.safeParse(junk).success).toBe(false)));
  });

  test('its JSON Schema describes every field', () => {
    const json = z.toJSONSchema(schema, { io: 'input' });
    expect(json).toMatchObject({ type: 'object', title: type, additionalProperties: false });
    expect(json.description).toMatch(/\.$/);
    for (const property of Object.values(json.properties ?? {})) {
      expect(property).toMatchObject({ description: expect.stringMatching(/\.$/) });
    }
  });
});

describe('fields', () => {
  const deposit = { account: 'acc-1', amount: '10', currency: 'GBP' };
  const accepts = (type: string, data: unknown) => schemaOf(type).safeParse(data).success;

  test.each(['', 'a/b', 'a b', 'é', 'a\n', 'a\0', 'a'.repeat(65)])('%j is no id', (account) => {
    expect(accepts('account.deposit', { ...deposit, account })).toBe(false);
  });

  test.each([
    ['10', 'GBP', '10.00'],
    ['10.5', 'GBP', '10.50'],
    ['10', 'JPY', '10'],
    ['0.001', 'KWD', '0.001'],
    ['10', 'KWD', '10.000'],
    ['92233720368547758.07', 'GBP', '92233720368547758.07'],
  ])('%s %s is written %s', (amount, currency, canonical) => {
    expect(schemaOf('account.deposit').parse({ ...deposit, amount, currency })).toEqual({ ...deposit, amount: canonical, currency });
    const payment = { payment: 'pay-1', account: 'acc-1', amount, currency };
    for (const type of ['payment.authorize', 'payment.capture']) {
      expect(schemaOf(type).parse(payment)).toEqual({ ...payment, amount: canonical });
    }
  });

  test.each([
    ['0', 'GBP'],
    ['0.00', 'GBP'],
    ['-1', 'GBP'],
    ['1.001', 'GBP'],
    ['1.0', 'JPY'],
    ['92233720368547758.08', 'GBP'],
    ['1e3', 'GBP'],
    ['10', 'gbp'],
    ['10', 'XXX'],
  ])('an amount of %s %s is refused', (amount, currency) => {
    expect(accepts('account.deposit', { ...deposit, amount, currency })).toBe(false);
    const payment = { payment: 'pay-1', account: 'acc-1', amount, currency };
    expect(accepts('payment.authorize', payment)).toBe(false);
    expect(accepts('payment.capture', payment)).toBe(false);
  });

  test('an amount is told wrong by its field, with what would be right', () => {
    const wrong = schemaOf('account.deposit').safeParse({ ...deposit, amount: '1.001' });
    expect(wrong.error?.issues).toMatchObject([{ path: ['amount'], message: expect.stringContaining('digits of GBP') }]);
  });

  test.each(['payment.capture', 'payment.refund'])('a part in %s is greater than zero, in its digits as given', (type) => {
    const part = { payment: 'pay-1', account: 'acc-1', amount: '5' };
    expect(schemaOf(type).parse(part)).toEqual(part);
    for (const amount of ['0', '0.00', '-5', '5.0001']) expect(accepts(type, { ...part, amount })).toBe(false);
  });

  test('a capture with a currency needs an amount, and an order needs a currency', () => {
    const pay = { payment: 'pay-1', account: 'acc-1' };
    expect(schemaOf('payment.capture').safeParse({ ...pay, currency: 'GBP' }).error?.issues).toMatchObject([{ path: ['amount'] }]);
    expect(schemaOf('payment.capture').safeParse({ ...pay, order: 'ord-1' }).error?.issues).toMatchObject([{ path: ['order'] }]);
    expect(accepts('payment.capture', { ...pay, amount: '5', currency: 'GBP', order: 'ord-1' })).toBe(true);
  });

  test('a reference is text that Postgres can hold, up to 255 characters', () => {
    for (const reference of ['', 'café 🐎', '\uFFFD', "'; drop table account; --", 'x'.repeat(255)]) {
      expect(schemaOf('account.deposit').parse({ ...deposit, reference })).toMatchObject({ reference });
    }
    for (const reference of ['a\0b', '\uD800', 'a\uDFFFb', 'x'.repeat(256), null]) {
      expect(accepts('account.deposit', { ...deposit, reference })).toBe(false);
    }
  });
});

describe('the domain', () => {
  test('every table has a migration that creates its columns, slot first in the primary key', () => {
    const ddl = domainMigrations.map(({ sql }) => sql);
    expect(new Set(domainMigrations.map(({ id }) => id)).size).toBe(domainMigrations.length);
    for (const table of tables) {
      const create = ddl.find((sql) => sql.includes(`create table ${table.name} (`));
      expect(create).toContain(`primary key (slot, ${table.key.join(', ')})`);
      const alter = ddl.filter((sql) => sql.startsWith(`alter table ${table.name} `));
      const created = (create ?? '').matchAll(/^ {2}(\w+) (int|bigint|text|jsonb)\b/gm);
      const added = alter.flatMap((sql) => [...sql.matchAll(/add column (\w+) (int|bigint|text|jsonb)\b/g)]);
      const dropped = alter.flatMap((sql) => [...sql.matchAll(/drop column (\w+)/g)].map(([, name]) => name));
      const columns = [...created, ...added].map(([, name, type]) => [name, type]).filter(([name]) => !dropped.includes(name));
      expect(columns).toEqual([['slot', 'int'], ...Object.entries(table.columns)]);
    }
  });

  test('types and codes are named as the API names them', () => {
    expect(types).toEqual([
      'account.open',
      'account.deposit',
      'payment.authorize',
      'payment.capture',
      'payment.void',
      'payment.refund',
      'stock.receive',
      'order.place',
      'order.cancel',
      'order.return',
      'transfer.place',
    ]);
    expect([...commandTypes.keys()]).toEqual(['account', 'stock'].flatMap((kind) => ['hold', 'confirm', 'release'].map((phase) => `${kind}.${phase}`)));
    expect(types.filter((type) => commandTypes.has(type))).toEqual([]);
    for (const code of Object.keys(REFUSALS)) expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/);
  });
});
