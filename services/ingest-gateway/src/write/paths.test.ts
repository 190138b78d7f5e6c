import { describe, expect, test } from '@jest/globals';
import { commandTypes, writeTypes } from '@millrace/domain';
import { Refusal } from '../http/answer.ts';
import { matchWrite, writeOf, writePaths } from './paths.ts';

function chosen(path: string, body: Record<string, unknown>): unknown {
  const match = matchWrite(path);
  if (!match) return undefined;
  const write = writeOf(match, body);
  return write instanceof Refusal ? write.document.code : { type: write.writeType.type, data: write.data };
}

describe('the resources of single writes', () => {
  test('every path of the table is found under its own template', () => {
    for (const path of writePaths) expect(matchWrite(path.template.replace(/\{\w+\}/, 'id-1'))?.path).toBe(path);
  });

  test.each(['/', '/v1', '/v1/', '/v1/nope', '/v1/accounts/', '/v1/accounts/a', '/v1/accounts/a/', '/v1/accounts/a/deposits/', '/v1/accounts/a/b/deposits', '/v2/accounts', '/v1/orders/o/deposits', '/v1/orders/o/returns/r', '/v1/orders/returns', '/v1/transfers/t', '/v1/transfers/t/cancel'])('%s takes no writes', (path) => {
    expect(matchWrite(path)).toBeUndefined();
  });

  test('the id of the path becomes a field of the data', () => {
    expect(chosen('/v1/accounts/a%3A1/deposits', { amount: '1' })).toEqual({ type: 'account.deposit', data: { amount: '1', account: 'a:1' } });
  });

  test('a return is of the order in the path, and may name itself in the body', () => {
    const lines = [{ sku: 's', quantity: 1 }];
    expect(chosen('/v1/orders/o-1/returns', { return: 'r-1', lines })).toEqual({ type: 'order.return', data: { order: 'o-1', return: 'r-1', lines } });
    expect(chosen('/v1/orders/o-1/returns', { order: 'o-1', lines })).toBe('invalid_body');
    expect(chosen('/v1/transfers', { transfer: 't' })).toEqual({ type: 'transfer.place', data: { transfer: 't' } });
  });

  test('every type of write that clients may send has a path, and no command of a saga has one', () => {
    const types = new Set(writePaths.flatMap((path) => path.types.map(({ type }) => type)));
    expect([...types].sort()).toEqual([...writeTypes.keys()].sort());
    for (const command of commandTypes.keys()) expect(types).not.toContain(command);
  });

  test('an id that stands in the path and in the body is refused, as is one that cannot be decoded', () => {
    expect(chosen('/v1/accounts/a/deposits', { account: 'a' })).toBe('invalid_body');
    expect(chosen('/v1/accounts/%/deposits', {})).toBe('invalid_parameter');
    expect(chosen(`/v1/accounts/${'a'.repeat(1000)}/deposits`, {})).toBe('invalid_parameter');
  });

  test('`capture` decides between two types and is no data', () => {
    expect(chosen('/v1/payments', { payment: 'p' })).toEqual({ type: 'payment.authorize', data: { payment: 'p' } });
    expect(chosen('/v1/payments', { payment: 'p', capture: false })).toEqual({ type: 'payment.authorize', data: { payment: 'p' } });
    expect(chosen('/v1/payments', { payment: 'p', currency: 'GBP', capture: true })).toEqual({ type: 'payment.capture', data: { payment: 'p', currency: 'GBP' } });
    expect(chosen('/v1/payments', { payment: 'p', capture: true })).toBe('invalid_body');
    expect(chosen('/v1/payments', { payment: 'p', capture: 'yes' })).toBe('invalid_body');
  });
});
