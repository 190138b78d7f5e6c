/**
 * A transfer between two accounts.
 *
 *   step       payer                payee
 *   hold       account.hold out     account.hold in (room)   both at once; either may be refused
 *   pivot      the last hold
 *   confirm    account.confirm      account.confirm          always succeeds
 *   compensate account.release      account.release          always succeeds, also before the hold
 */
import { TRANSFER_START } from '@millrace/domain';
import { z } from 'zod';
import type { SagaDefinition } from './definition.ts';

const schema = z.strictObject({ from: z.string(), to: z.string(), amount: z.string(), currency: z.string(), deadline_seconds: z.int().min(1) });

export const transferSaga: SagaDefinition<z.infer<typeof schema>> = {
  kind: 'transfer',
  start: TRANSFER_START,
  schema,
  exists: 'transfer_exists',
  name: () => 'transfer',
  begin: ({ from, to, amount, currency, deadline_seconds: deadlineSeconds }) => ({
    parts: [
      { kind: 'account', id: from, direction: 'out', amount, currency },
      { kind: 'account', id: to, direction: 'in', amount, currency },
    ],
    deadlineSeconds,
  }),
};
