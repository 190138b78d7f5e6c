import { expect, test } from '@jest/globals';
import { createLog } from '@millrace/runtime';
import type { Digest, Offset, Receipt, Slot, Tenant } from '@millrace/write';
import { Refusal } from '../http/answer.ts';
import type { WriteStatus } from '../read/outcomes.ts';
import { isFirstOfItsKey } from './misuse.ts';

const log = createLog({ name: 'test', level: 'fatal' });
const receipt: Receipt = { slot: 1 as Slot, offset: 7n as Offset, digest: 'a'.repeat(32) as Digest };
const done = { type: 'account.open', atMs: 0n };
const refused = (code: string): WriteStatus => ({ ...done, status: 'refused', detail: { code } });

const cases: readonly (readonly [string, () => Promise<WriteStatus>, boolean])[] = [
  ['applied', async () => ({ ...done, status: 'applied', detail: null }), true],
  ['refused by the domain', async () => refused('account_exists'), true],
  ['itself the misuse', async () => refused('idempotency_mismatch'), false],
  ['skipped by an operator', async () => refused('skipped_by_operator'), false],
  ['not applied yet', async () => ({ status: 'accepted' }), false],
  ['parked', async () => ({ status: 'parked', reason: 'bad', atMs: 0n }), false],
  ['on a shard that does not answer', () => Promise.reject(new Refusal('shard_unavailable')), false],
  ['on a shard that fails', () => Promise.reject(new Error('a bug')), false],
];

test.each(cases)('a remembered write that is %s proves a misuse or not', async (_case, now, proves) => {
  expect(await isFirstOfItsKey('demo' as Tenant, receipt, { outcomes: { now }, log })).toBe(proves);
});
