import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ID_PATTERN, routingKey, TENANT_PATTERN, tenantOf, type Tenant } from './ids.ts';

describe('routing keys', () => {
  test('a routing key splits into its tenant and id in one way', () => {
    fc.assert(
      fc.property(fc.stringMatching(TENANT_PATTERN), fc.stringMatching(ID_PATTERN), (tenant, id) => {
        const key = routingKey(tenant as Tenant, id);
        expect(tenantOf(key)).toBe(tenant);
        expect(key.slice(tenant.length + 1)).toBe(id);
        expect(key.indexOf('/')).toBe(key.lastIndexOf('/'));
      }),
    );
  });

  test.each(['', '/', 'demo', 'demo/', '/a', 'demo/a/b', 'Demo/a', 'demo/a b', 'demo/a\n', 'demo/é', `demo/${'a'.repeat(65)}`, `${'t'.repeat(33)}/a`])(
    '%j is no routing key',
    (key) => {
      expect(tenantOf(key)).toBeUndefined();
    },
  );
});
