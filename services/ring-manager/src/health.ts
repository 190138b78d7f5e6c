/** Whether a ring-manager should be started again, and whether it may be asked. A standby may: it answers the admin API. */
import type { Health } from '@millrace/runtime';
import type { Leadership } from './control/leadership.ts';
import { LEASE_SILENCE_MAX_MS } from './limits.ts';

export interface Progress {
  established: boolean;
  leadership: Leadership | undefined;
}

export function healthOf({ established, leadership }: Progress): Health {
  const silentMs = leadership === undefined ? 0 : performance.now() - leadership.askedAtMs();
  const leads = leadership?.token() !== undefined;
  return {
    live: [{ name: 'lease', ok: silentMs < LEASE_SILENCE_MAX_MS, detail: `asked for ${Math.round(silentMs / 1000)} s ago` }],
    ready: [
      { name: 'cluster', ok: established, detail: established ? 'established' : 'not established yet' },
      { name: 'role', ok: true, detail: leads ? 'leader' : 'standby' },
    ],
  };
}
