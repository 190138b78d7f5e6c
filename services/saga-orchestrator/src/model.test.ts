import { describe, expect, test } from '@jest/globals';
import { followUpKey, tables } from '@millrace/domain';
import { routingKey, type Offset, type Tenant } from '@millrace/write';
import { sagasModel } from './model.ts';

const tenant = 'demo' as Tenant;
const at = { key: routingKey(tenant, 'o'), tenant, atMs: 0, offset: 0n as Offset };

describe('stream sagas', () => {
  test('W7 takes only tables of its own, and reads only rows of the key that routes a record', () => {
    expect(sagasModel.tables).toEqual(tables.filter(({ stream }) => stream === 'sagas'));
    const command = sagasModel.command({ type: 'saga.cancel', idempotencyKey: followUpKey(7n), data: { saga: 'order', by: 'client' } }, at);
    if ('poison' in command) throw new Error(command.poison);
    for (const { table, key } of command.reads) {
      expect(sagasModel.tables).toContain(table);
      expect(key[0]).toBe(at.key);
    }
  });

  test('what a client could send is poison, as is what nobody knows', () => {
    expect(sagasModel.command({ type: 'saga.cancel', idempotencyKey: 'mine', data: { saga: 'order', by: 'client' } }, at)).toHaveProperty('poison');
    expect(sagasModel.command({ type: 'saga.dance', idempotencyKey: followUpKey(7n), data: {} }, at)).toHaveProperty('poison');
    expect(sagasModel.command({ type: 'saga.cancel', idempotencyKey: followUpKey(7n), data: { saga: 'order', by: 'nobody' } }, at)).toHaveProperty('poison');
  });

  test('transitions and refusals are told to the feed, steps between the streams are not', () => {
    const isPublic = (detail: unknown) => sagasModel.isPublic({ type: 'saga.reply', detail });
    expect(isPublic({ saga: 'order', state: 'confirmed', after_ms: '1' })).toBe(true);
    expect(isPublic({ code: 'too_late' })).toBe(true);
    expect(isPublic(null)).toBe(false);
    expect(isPublic({ released_by: '7' })).toBe(false);
  });
});
