/** The topology and its history, who leads, and who did what. */
import { listEpochs, readEpoch, type EpochRecord } from '@millrace/topology';
import { PgError } from '@millrace/postgres';
import { listAudit } from '../control/change.ts';
import { readLease } from '../control/lease.sql.ts';
import { Refused } from '@millrace/admin';
import { route, type Route } from '@millrace/admin';
import type { RoutesInput } from './routes.ts';
import { auditAnswer, epochQuery, historyAnswer, leaderAnswer, limitQuery, topologyAnswer } from './schemas.ts';
import { auditJson } from './views.ts';

export function topologyRoutes(input: RoutesInput): readonly Route[] {
  const { control } = input;
  return [
    route({
      method: 'get',
      path: '/v1/topology',
      summary: 'The topology: which shard owns which slot',
      description: 'The newest, or that of an epoch. While the control database does not answer, the newest that this process knows, without its history.',
      tag: 'topology',
      status: 200,
      query: epochQuery,
      answer: topologyAnswer,
      problems: ['not_found'],
      handle: async ({ query: { epoch } }) => (epoch === undefined ? newest(input) : atEpoch(input, epoch)),
    }),
    route({
      method: 'get',
      path: '/v1/topology/history',
      summary: 'Epochs, newest first: when, by whom, why',
      tag: 'topology',
      status: 200,
      query: limitQuery,
      answer: historyAnswer,
      problems: [],
      handle: async ({ query: { limit } }) => ({ epochs: (await listEpochs(control, limit)).map(historyJson) }),
    }),
    route({
      method: 'get',
      path: '/v1/leader',
      summary: 'The ring-manager that leads',
      tag: 'topology',
      status: 200,
      answer: leaderAnswer,
      problems: [],
      handle: async () => {
        const lease = await readLease(control);
        return lease === undefined ? {} : { holder: lease.holder, token: String(lease.token), expires_at: lease.expiresAt.toISOString() };
      },
    }),
    route({
      method: 'get',
      path: '/v1/audit',
      summary: 'Who did what, newest first',
      tag: 'topology',
      status: 200,
      query: limitQuery,
      answer: auditAnswer,
      problems: [],
      handle: async ({ query: { limit } }) => ({ entries: (await listAudit(control, limit)).map(auditJson) }),
    }),
  ];
}

async function newest({ control, topology }: RoutesInput) {
  const stored = await readEpoch(control).catch((error: unknown) => {
    if (error instanceof PgError && error.kind === 'infrastructure') return undefined;
    throw error;
  });
  const { epoch, slots, owners } = stored?.topology ?? topology();
  return { epoch, slots, owners: [...owners], ...(stored === undefined ? {} : historyJson(stored)) };
}

async function atEpoch({ control }: RoutesInput, wanted: number) {
  const stored = await readEpoch(control, BigInt(wanted));
  if (stored === undefined) throw new Refused('not_found', `there is no epoch ${wanted}`);
  const { slots, owners } = stored.topology;
  return { slots, owners: [...owners], ...historyJson(stored) };
}

function historyJson({ epoch, createdAt, createdBy, reason }: EpochRecord) {
  return { epoch, created_at: createdAt.toISOString(), created_by: createdBy, reason };
}
