import { expect, test } from '@jest/globals';
import { createInFlightReads } from './in-flight-reads.ts';

test('reads over the limit are refused before they begin, and a read that ends or fails makes room', async () => {
  const reads = createInFlightReads({ inFlightReadsMax: 2 });
  const held = Promise.withResolvers<string>();
  const failing = Promise.withResolvers<string>();
  const under = [reads.hold(() => held.promise), reads.hold(() => failing.promise)];
  let began = false;
  const over = reads.hold(async () => (began = true));
  await expect(over).rejects.toMatchObject({ document: { status: 429 }, headers: ['Retry-After', '1'] });
  expect(began).toBe(false);
  held.resolve('read');
  failing.reject(new Error('no shard'));
  expect((await Promise.allSettled(under)).map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
  expect(reads.count()).toBe(0);
  expect(await reads.hold(async () => 'again')).toBe('again');
});
