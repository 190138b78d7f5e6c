import { describe, expect, test } from '@jest/globals';
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

  test.each(['/', '/v1', '/v1/', '/v1/nope', '/v1/accounts/', '/v1/accounts/a', '/v1/accounts/a/', '/v1/accounts/a/deposits/', '/v1/accounts/a/b/deposits', '/v2/accounts', '/v1/orders/o/deposits'])('%s takes no writes', (path) => {
    expect(matchWrite(path)).toBeUndefined();
  });

  test('the id of the path becomes a field of the data', () => {
    expect(chosen('/v1/accounts/a%3A1/deposits', { amount: '1' })).toEqual({ type: 'account.deposit', data: { amount: '1', account: 'a:1' } });
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
