/**
 * How the HTTP server ends. Readiness is gone already; load balancers get time to see it. Then no new connections,
 * answers say `Connection: close`, bulk requests take no further lines, and what is in flight is finished.
 */
import type { Server } from 'node:http';
import { sleep } from '@millrace/runtime';
import type { BulkWrites } from './bulk/bulk.ts';
import { limits } from './limits.ts';

const POLL_MS = 100;

export async function drainServer(server: Server, bulk: BulkWrites): Promise<void> {
  await sleep(limits.readinessGraceMs);
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  // A connection that is between two requests is idle only now and then: ask until none is left.
  const idle = setInterval(() => server.closeIdleConnections(), POLL_MS);
  await bulk.drain();
  const forced = setTimeout(() => server.closeAllConnections(), 2 * limits.produceTimeoutMs);
  await closed;
  clearTimeout(forced);
  clearInterval(idle);
}
