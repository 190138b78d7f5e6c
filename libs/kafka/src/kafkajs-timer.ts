/**
 * kafkajs 2.2.4 keeps a timer of 1 ms alive on every connection, waiting or not (tulios/kafkajs #1556, #1751):
 * measured 4.7 % of a core for six idle connections, and a TimeoutNegativeWarning on Node 24. This replaces the one
 * method that arms it: a timer is needed only while requests wait for the end of a throttle.
 */
import { createRequire } from 'node:module';
import { assert } from '@millrace/write';

interface RequestQueue {
  readonly pending: readonly unknown[];
  readonly throttledUntil: number;
  throttleCheckTimeoutId: NodeJS.Timeout | null;
  checkPendingRequests(): void;
}

const RETRY_DELAY_MIN_MS = 10;
const METHOD = 'scheduleCheckPendingRequests';

/** May be called any number of times. */
export function quietIdleConnections(): void {
  const queue: unknown = createRequire(import.meta.url)('kafkajs/src/network/requestQueue/index.js');
  assert(typeof queue === 'function', 'kafkajs 2.2.4 has its request queue where it always was');
  const prototype: unknown = queue.prototype;
  assert(typeof prototype === 'object' && prototype !== null && METHOD in prototype, `kafkajs has ${METHOD}`);
  prototype[METHOD] = scheduleCheckPendingRequests;
}

function scheduleCheckPendingRequests(this: RequestQueue): void {
  if (this.throttleCheckTimeoutId !== null || this.pending.length === 0) return;
  const delayMs = Math.max(this.throttledUntil - Date.now(), RETRY_DELAY_MIN_MS);
  this.throttleCheckTimeoutId = setTimeout(() => {
    this.throttleCheckTimeoutId = null;
    this.checkPendingRequests();
  }, delayMs);
}
