/** GET /v1/writes/{receipt}, also with `Prefer: wait`. */
import type { Receipt, Tenant } from '@millrace/write';
import { Router } from 'express';
import type { ApiKeys } from '../auth/api-keys.ts';
import { Refusal, sendJson } from '../http/answer.ts';
import { tenantOrRefusal } from '../http/preamble.ts';
import { waitMsOf } from '../http/prefer.ts';
import type { Limits } from '../limits.ts';
import type { Metrics } from '../metrics.ts';
import type { InFlightReads } from '../read/in-flight-reads.ts';
import type { Outcomes, WriteStatus } from '../read/outcomes.ts';
import { receiptOf } from '../read/receipt.ts';
import { statusJson } from '../read/status-json.ts';

export interface StatusRoutesOptions {
  readonly keys: ApiKeys;
  readonly outcomes: Outcomes;
  readonly inFlight: InFlightReads;
  /** S. */
  readonly slots: number;
  readonly limits: Limits;
  readonly metrics: Metrics;
  readonly closing: () => readonly string[];
}

export function statusRoutes({ keys, outcomes, inFlight, slots, limits, metrics, closing }: StatusRoutesOptions): Router {
  const route = metrics.route('GET /v1/writes/{receipt}');

  async function statusOf(tenant: Tenant, receipt: Receipt, waitMs: number): Promise<WriteStatus> {
    const waited = waitMs > 0 ? await outcomes.wait(tenant, receipt, waitMs) : undefined;
    return waited ?? outcomes.now(tenant, receipt);
  }

  return Router().get('/v1/writes/:receipt', async (req, res) => {
    try {
      const tenant = tenantOrRefusal(keys, req);
      if (tenant instanceof Refusal) throw tenant;
      const receipt = receiptOf(tenant, req.params.receipt, slots);
      const waitMs = waitMsOf(req.headers.prefer, limits.waitMsMax) ?? 0;
      const status = await inFlight.hold(() => statusOf(tenant, receipt, waitMs));
      route.count(status.status);
      sendJson(res, 200, statusJson(req.params.receipt, status), closing());
    } catch (error) {
      if (error instanceof Refusal) route.refused(error);
      throw error;
    }
  });
}
