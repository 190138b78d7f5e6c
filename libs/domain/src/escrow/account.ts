/** Accounts as participants of sagas. */
import { formatAmount, must, parseAmount } from '@millrace/write';
import { z } from 'zod';
import { account, type AccountRow } from '../account/table.ts';
import { accountId, currency, unitPrice } from '../fields.ts';
import { because } from '../saga/messages.ts';
import { commandFields, commandsOf, direction, type ParticipantType } from './command.ts';

const settle = z.strictObject({ account: accountId, ...commandFields });
const hold = z.strictObject({ account: accountId, ...commandFields, direction, amount: unitPrice, currency });

const accountParticipant: ParticipantType<AccountRow, z.infer<typeof settle>, z.infer<typeof hold>> = {
  kind: 'account',
  table: account,
  schemas: { settle, hold },
  idOf: (data) => data.account,
  poolOf: ({ balance, held, incoming }) => ({ available: balance, kept: held, incoming }),
  withPool: (row, { available, kept, incoming }) => ({ ...row, balance: available, held: kept, incoming }),
  termsOf(row, _at, data) {
    const { account: id, amount, currency: code, direction: way } = data;
    if (!row) return because('unknown_account', { account: id });
    if (row.currency !== code) return because('currency_mismatch', { account: id, currency: row.currency });
    return { row, terms: { direction: way, units: must(parseAmount(amount, code), 'a saga asks for an amount of its currency') } };
  },
  refusalOf(row, id, { direction: way, units }) {
    if (way === 'in') return because('balance_overflow', { account: id });
    const { balance, currency: code } = row;
    return because('insufficient_funds', { account: id, balance: formatAmount(balance, code), short: formatAmount(units - balance, code), currency: code });
  },
};

export const accountCommands = commandsOf(accountParticipant);
