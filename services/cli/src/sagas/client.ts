/** The admin API of a saga-orchestrator. Every method @throws ApiProblem, ApiSilent */
import { call, type Endpoint } from '../api/call.ts';
import { listSchema, sagaSchema, steeredSchema, type Saga, type SagaList, type SagaSummary, type Steered } from './schemas.ts';

export interface SagaFilter {
  readonly state?: string;
  readonly kind?: string;
  readonly olderThan?: number;
  readonly limit: number;
}

export interface SagaClient {
  /** The oldest first, page by page up to the limit. `next` where there are more. */
  list(filter: SagaFilter): Promise<SagaList>;
  show(id: string): Promise<Saga>;
  steer(id: string, how: 'retry' | 'cancel'): Promise<Steered>;
}

/** As many as one answer holds. */
const PAGE_MAX = 500;

export function createSagaClient(endpoint: Endpoint): SagaClient {
  const page = (filter: SagaFilter, after: string | undefined): Promise<SagaList> => call(endpoint, { method: 'GET', path: `/v1/sagas?${queryOf(filter, after)}`, answer: listSchema });
  const pathOf = (id: string): string => `/v1/sagas/${encodeURIComponent(id)}`;

  return {
    async list(filter) {
      const sagas: SagaSummary[] = [];
      const silent = new Map<string, SagaList['silent_shards'][number]>();
      for (let next: string | undefined; ; ) {
        const found = await page({ ...filter, limit: Math.min(PAGE_MAX, filter.limit - sagas.length) }, next);
        sagas.push(...found.sagas);
        for (const one of found.silent_shards) silent.set(one.shard, one);
        next = found.next;
        if (next === undefined || sagas.length >= filter.limit) return { sagas, ...(next === undefined ? {} : { next }), silent_shards: [...silent.values()] };
      }
    },
    show: (id) => call(endpoint, { method: 'GET', path: pathOf(id), answer: sagaSchema }),
    steer: (id, how) => call(endpoint, { method: 'POST', path: `${pathOf(id)}/${how}`, body: {}, answer: steeredSchema }),
  };
}

function queryOf({ state, kind, olderThan, limit }: SagaFilter, after: string | undefined): URLSearchParams {
  const query = new URLSearchParams({ limit: String(limit) });
  if (state !== undefined) query.set('state', state);
  if (kind !== undefined) query.set('kind', kind);
  if (olderThan !== undefined) query.set('older_than', String(olderThan));
  if (after !== undefined) query.set('after', after);
  return query;
}
