/** POST /v1/writes: many writes in one NDJSON body, answered line by line. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Tenant } from '@millrace/write';
import type { ApiKeys } from '../auth/api-keys.ts';
import type { Refusal } from '../http/answer.ts';
import { tooMuchInFlight, type BodyReader } from '../http/body.ts';
import { pathOf } from '../http/path.ts';
import { refusesContent, unauthorized } from '../http/preamble.ts';
import type { Metrics } from '../metrics.ts';
import { NDJSON_TYPE, startBulkStream, type BulkStream, type BulkStreamOptions } from './stream.ts';

export interface BulkWrites {
  /** Takes the request where it is a POST of many writes; false where it is not. */
  handle(req: IncomingMessage, res: ServerResponse): boolean;
  streams(): number;
  /** Stops reading, and resolves when all that was read is answered. */
  drain(): Promise<void>;
}

export interface BulkWritesOptions extends Omit<BulkStreamOptions, 'metrics'> {
  readonly keys: ApiKeys;
  readonly bodies: BodyReader;
  readonly metrics: Metrics;
}

export const BULK_TEMPLATE = '/v1/writes';
const NDJSON_PATTERN = /^application\/(?:x-)?(?:ndjson|jsonl)\s*(?:;\s*charset="?utf-8"?\s*)?$/i;

export function createBulkWrites(options: BulkWritesOptions): BulkWrites {
  const { keys, bodies, admission, limits, log } = options;
  const metrics = options.metrics.route(`POST ${BULK_TEMPLATE}`);
  const streams = new Set<BulkStream>();

  function handle(req: IncomingMessage, res: ServerResponse): boolean {
    if (req.method !== 'POST' || req.url === undefined || pathOf(req.url) !== BULK_TEMPLATE) return false;
    const tenant = keys.tenantOf(req.headers.authorization);
    const refusal = tenant === undefined ? unauthorized() : refuses(req);
    if (refusal) {
      metrics.refused(refusal);
      bodies.refuse(req, res, refusal);
    } else if (tenant !== undefined) start(tenant, req, res);
    return true;
  }

  function start(tenant: Tenant, req: IncomingMessage, res: ServerResponse): void {
    const stream = startBulkStream(tenant, req, res, { ...options, metrics });
    streams.add(stream);
    void stream.done.then(() => {
      streams.delete(stream);
      log.info({ tenant, streams: streams.size }, 'bulk request ended');
    });
  }

  function refuses(req: IncomingMessage): Refusal | undefined {
    return (
      refusesContent(req, NDJSON_PATTERN, NDJSON_TYPE) ??
      admission.refusesEarly() ??
      (streams.size < limits.bulkStreamsMax ? undefined : tooMuchInFlight())
    );
  }

  return {
    handle,
    streams: () => streams.size,
    async drain() {
      for (const stream of streams) stream.stop();
      await Promise.all([...streams].map(({ done }) => done));
    },
  };
}
