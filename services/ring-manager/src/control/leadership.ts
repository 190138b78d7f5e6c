/**
 * Who leads: every ring-manager asks for the lease, one holds it and leads, for one term after the other.
 *
 * A term ends when its lease cannot be renewed before it runs out, by this process's own clock, counted from before the
 * renewal was sent: so a leader without the control database stops by itself before another one begins. A process
 * that sleeps past its lease wakes in a term that is over: its writes find another token (R5).
 */
import type { Database } from '@millrace/postgres';
import { sleep, type Log } from '@millrace/runtime';
import { Superseded } from '../move/types.ts';
import { acquireLease, releaseLease, renewLease } from './lease.sql.ts';

export interface Term {
  readonly token: bigint;
  /** Aborts when the term is over, or the process drains. */
  readonly signal: AbortSignal;
}

export interface LeadershipInput {
  /** A pool of its own: nothing else may keep a renewal waiting. */
  readonly lease: Database;
  readonly holder: string;
  /** Leads until the term's signal aborts; also resolves early where it finds itself superseded. */
  readonly lead: (term: Term) => Promise<void>;
  readonly timing: LeaseTiming;
  readonly log: Log;
}

export interface LeaseTiming {
  readonly ttlMs: number;
  readonly renewMs: number;
  /** Between two looks at a lease that another one holds, and after a failure. */
  readonly retryMs: number;
}

export interface Leadership {
  /** The token of the term under way. */
  token(): bigint | undefined;
  /** When the control database was last asked for the lease, on the clock of `performance.now()`. */
  askedAtMs(): number;
  /** Ends the term and gives the lease back. */
  stop(): Promise<void>;
}

interface Renewals extends Term {
  /** When the lease was asked for. */
  readonly sentAtMs: number;
  readonly over: AbortController;
}

export function createLeadership(input: LeadershipInput): Leadership {
  const { lease, holder, lead, timing, log } = input;
  const stopping = new AbortController();
  let current: bigint | undefined;
  let askedAtMs = performance.now();

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      askedAtMs = performance.now();
      const token = await acquireLease(lease, { holder, ttlMs: timing.ttlMs }).catch((error: unknown) => {
        log.warn({ reason: String(error) }, 'the control database does not answer for the lease');
        return undefined;
      });
      if (token === undefined) await sleep(timing.retryMs, stopping.signal).catch(() => undefined);
      else await serve(token, askedAtMs);
    }
  }

  async function serve(token: bigint, sentAtMs: number): Promise<void> {
    const over = new AbortController();
    const signal = AbortSignal.any([stopping.signal, over.signal]);
    current = token;
    log.info({ term: token, holder }, 'leads');
    const renewals = renew({ token, sentAtMs, over, signal });
    try {
      await lead({ token, signal });
    } catch (error) {
      if (error instanceof Superseded || signal.aborted) log.info({ term: token, reason: String(error) }, 'the term ends');
      else log.error({ term: token, error }, 'leading failed; the lease is asked for again');
    }
    current = undefined;
    over.abort(new Superseded(`the term of token ${token} is over`));
    await renewals;
    await releaseLease(lease, token).catch((error: unknown) => log.warn({ term: token, reason: String(error) }, 'the lease was not given back; it runs out'));
    log.info({ term: token }, 'leads no more');
    await sleep(stopping.signal.aborted ? 0 : timing.retryMs, stopping.signal).catch(() => undefined);
  }

  /** Renews until the term is over, and ends it where that fails for too long. */
  async function renew({ token, sentAtMs: firstSentAtMs, over, signal }: Renewals): Promise<void> {
    const expire = (sentAtMs: number): NodeJS.Timeout =>
      setTimeout(() => over.abort(new Superseded(`the lease could not be renewed for ${timing.ttlMs} ms, token ${token}`)), Math.max(0, sentAtMs + timing.ttlMs - performance.now()));
    let deadline = expire(firstSentAtMs);
    let waitMs = timing.renewMs;
    for (;;) {
      await sleep(waitMs, signal).catch(() => undefined);
      if (signal.aborted) break;
      const sentAtMs = (askedAtMs = performance.now());
      const renewed = await renewLease(lease, { token, ttlMs: timing.ttlMs }).catch((error: unknown) => {
        log.warn({ term: token, reason: String(error) }, 'the lease was not renewed; trying again until it runs out');
        return undefined;
      });
      if (renewed === false) over.abort(new Superseded(`another ring-manager may lead, token ${token}`));
      waitMs = renewed === undefined ? timing.retryMs : timing.renewMs;
      if (renewed !== true) continue;
      clearTimeout(deadline);
      deadline = expire(sentAtMs);
    }
    clearTimeout(deadline);
  }

  const done = run();
  return {
    token: () => current,
    askedAtMs: () => askedAtMs,
    async stop() {
      stopping.abort(new Superseded('the process drains'));
      await done;
    },
  };
}
