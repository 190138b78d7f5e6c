import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { ShardId } from '@millrace/write';
import { spread } from './place.ts';

const shardNames = fc.uniqueArray(fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,8}$/), { minLength: 1, maxLength: 16 });

describe('spread', () => {
  test('R1 gives every slot one of the shards, and each its fair share to one slot', () => {
    fc.assert(
      fc.property(shardNames, fc.integer({ min: 1, max: 512 }), (names, slots) => {
        const owners = spread(slots, names as ShardId[]);
        expect(owners).toHaveLength(slots);
        for (const name of names) {
          const owned = owners.filter((owner) => owner === name).length;
          expect(owned).toBeGreaterThanOrEqual(Math.floor(slots / names.length));
          expect(owned).toBeLessThanOrEqual(Math.ceil(slots / names.length));
        }
      }),
    );
  });

  test('does not depend on the order in which shards are named', () => {
    fc.assert(
      fc.property(shardNames, (names) => {
        expect(spread(64, [...names].reverse() as ShardId[])).toEqual(spread(64, names as ShardId[]));
      }),
    );
  });
});
