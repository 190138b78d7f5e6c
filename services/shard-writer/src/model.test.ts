import { describe, expect, test } from '@jest/globals';
import { tables, writeTypes } from '@millrace/domain';
import { must, routingKey, type Offset, type Tenant } from '@millrace/write';
import { writesModel } from './model.ts';

const tenant = 'demo' as Tenant;
const samples: Readonly<Record<string, unknown>> = {
  'account.open': { account: 'a', currency: 'GBP' },
  'account.deposit': { account: 'a', amount: '1.00', currency: 'GBP' },
  'payment.authorize': { payment: 'p', account: 'a', amount: '1.00', currency: 'GBP' },
  'payment.capture': { payment: 'p', account: 'a' },
  'payment.void': { payment: 'p', account: 'a' },
  'payment.refund': { payment: 'p', account: 'a' },
  'stock.receive': { sku: 's', quantity: 1 },
  'order.place': { order: 'o', account: 'a', currency: 'GBP', lines: [{ sku: 's', quantity: 1, unit_price: '1.00' }] },
  'order.cancel': { order: 'o' },
  'order.return': { order: 'o', lines: [{ sku: 's', quantity: 1 }] },
  'transfer.place': { transfer: 't', from: 'a', to: 'b', amount: '1.00', currency: 'GBP' },
};

function commandOf(type: string) {
  const id = must(writeTypes.get(type), type).id(samples[type]);
  const command = writesModel.command({ type, idempotencyKey: 'i', data: samples[type] }, { key: routingKey(tenant, id), tenant, atMs: 0, offset: 0n as Offset });
  if ('poison' in command) throw new Error(command.poison);
  return command;
}

describe('stream writes', () => {
  test('W7 each table is written by one stream, and this one takes only its own', () => {
    expect(new Set(tables.map(({ name }) => name)).size).toBe(tables.length);
    expect(writesModel.tables.every(({ stream }) => stream === 'writes')).toBe(true);
  });

  test.each([...writeTypes.keys()])('W7 %s reads only rows of its own stream, under the key that routes it', (type) => {
    for (const { table, key } of commandOf(type).reads) {
      expect(writesModel.tables).toContain(table);
      expect(key[0]).toMatch(/^demo\//);
    }
  });

  test('a command that no saga sent is poison', () => {
    const data = { account: 'a', saga: 'demo/o/order', attempt: 0 };
    const at = { key: routingKey(tenant, 'a'), tenant, atMs: 0, offset: 0n as Offset };
    expect(writesModel.command({ type: 'account.release', idempotencyKey: 'mine', data }, at)).toMatchObject({ poison: expect.stringContaining('by sagas alone') });
    expect(writesModel.command({ type: 'account.release', idempotencyKey: '\u0001mine', data }, at)).not.toHaveProperty('poison');
  });

  test('a key that is not that of its data is poison', () => {
    const astray = writesModel.command({ type: 'order.cancel', idempotencyKey: 'i', data: { order: 'o' } }, { key: routingKey(tenant, 'other'), tenant, atMs: 0, offset: 0n as Offset });
    expect(astray).toMatchObject({ poison: expect.stringContaining('different resources') });
  });
});
