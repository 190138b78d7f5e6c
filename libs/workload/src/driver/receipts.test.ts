import { expect, test } from '@jest/globals';
import { type Offset, type Slot, type Tenant, digestOf, encodeReceipt } from '@millrace/write';
import { createReceiptStore } from './receipts.ts';

const tenant = 'demo' as Tenant;
const receipt = (n: number) => ({ slot: (n % 64) as Slot, offset: BigInt(n) as Offset, digest: digestOf('demo/a', `k${n}`) });

test('receipts come back as they were given, over many chunks', () => {
  const store = createReceiptStore(tenant);
  const count = 70_000;
  for (let n = 0; n < count; n++) expect(store.add(encodeReceipt(tenant, receipt(n)))).toBe(true);
  expect(store.size).toBe(count);
  let n = 0;
  for (const each of store) {
    if (n % 997 === 0) expect(each).toEqual(receipt(n));
    n++;
  }
  expect(n).toBe(count);
});

test('a text that cannot be a receipt is not kept', () => {
  const store = createReceiptStore(tenant);
  expect(store.add('short')).toBe(false);
  expect(store.add('!'.repeat(42))).toBe(false);
  expect(store.size).toBe(0);
});

test('a receipt of another tenant is found when it is read', () => {
  const store = createReceiptStore(tenant);
  store.add(encodeReceipt('other' as Tenant, receipt(1)));
  expect(() => [...store]).toThrow(/no receipt of tenant demo/);
});
