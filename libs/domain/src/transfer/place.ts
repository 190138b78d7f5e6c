import { z } from 'zod';
import { type Checked, accountId, amount, currency, money, reject, transferId } from '../fields.ts';
import { type WriteType } from '../model.ts';
import { DEADLINE_SECONDS, TRANSFER_START, deadlineSeconds, toSaga } from '../saga/messages.ts';

const fields = z.strictObject({
  transfer: transferId,
  from: accountId,
  to: accountId,
  amount,
  currency,
  deadline_seconds: deadlineSeconds.optional(),
});
type Transfer = z.infer<typeof fields>;

const schema = fields.check(money).check(twoAccounts).meta({
  title: 'transfer.place',
  description: 'Moves an amount from one account to another of the same currency, or nothing at all.',
});

export const transferPlace: WriteType<Transfer> = {
  type: 'transfer.place',
  summary: 'Transfer between two accounts',
  schema,
  id: (data) => data.transfer,
  reads: () => [],
  apply(_rows, at, { from, to, amount: units, currency: code, deadline_seconds: deadline }) {
    const start = { from, to, amount: units, currency: code, deadline_seconds: deadline ?? DEADLINE_SECONDS };
    return { outcome: 'applied', changes: [], messages: [toSaga(at, TRANSFER_START, start)] };
  },
};

function twoAccounts(payload: Checked<Transfer>): void {
  if (payload.value.from === payload.value.to) reject(payload, ['to'], 'must be another account than `from`');
}
