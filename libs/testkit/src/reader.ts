/**
 * Clients that write and then read what they wrote: what they read is never older, and never missing, whichever gateway
 * they ask.
 *
 * Each has an account of its own and makes one deposit after the other, so it knows its balance to the last digit.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { must } from '@millrace/write';
import type { Answer, TestCluster } from './cluster.ts';

export interface Reader {
  /** Resolves when every read that had begun has ended. */
  stop(): Promise<ReaderReport>;
}

export interface ReaderReport {
  /** Reads that were answered with the state. */
  readonly reads: number;
  /** Refusals by the code of their problem: the client asks again. */
  readonly refused: Readonly<Record<string, number>>;
  /** What must never be: an older state, or none. */
  readonly wrong: readonly string[];
}

/** Between two deposits of one client. */
const PAUSE_MS = 25;

/** One client for each account; `accounts` are ids that nobody else writes. */
export function startReader(cluster: Pick<TestCluster, 'call' | 'local'>, accounts: readonly string[]): Reader {
  const refused: Record<string, number> = {};
  const wrong: string[] = [];
  const gateways = cluster.local.gatewayUrls.length;
  let reads = 0;
  let stopped = false;

  /** Asks until the answer is no refusal that passes. */
  async function patiently(method: string, path: string, options: Parameters<TestCluster['call']>[2] = {}): Promise<Answer> {
    for (;;) {
      const answer = await cluster.call(method, path, options).catch((error: unknown) => ({ status: 599, headers: new Headers(), body: { code: `no answer: ${String(error)}` } }));
      if (answer.status < 500 && answer.status !== 429) return answer;
      const code = String(answer.body['code']);
      refused[code] = (refused[code] ?? 0) + 1;
      await pause(PAUSE_MS);
    }
  }

  async function read(account: string, path: string, { deposits, gateway }: { readonly deposits: number; readonly gateway: number }): Promise<void> {
    const { status, body } = await patiently('GET', path, { gateway });
    const found = body['balance'];
    if (status === 200 && found === String(deposits)) reads += 1;
    else wrong.push(`gateway ${gateway}: GET ${path}: ${status} ${textOf(body)}, after ${deposits} deposits of 1 into ${account}`);
  }

  async function client(account: string): Promise<void> {
    await patiently('POST', '/v1/accounts', { body: { account, currency: 'JPY' }, idempotencyKey: `open-${account}` });
    for (let deposits = 1; !stopped; deposits += 1) {
      const written = await patiently('POST', `/v1/accounts/${account}/deposits`, { body: { amount: '1', currency: 'JPY' }, idempotencyKey: `${account}-${deposits}` });
      const receipt = must(written.body['receipt'], 'an accepted write has a receipt');
      // The gateway that has waited for the write knows where the slot is; the others, asked next, may not.
      await read(account, `/v1/accounts/${account}?after=${String(receipt)}`, { deposits, gateway: deposits % gateways });
      for (let gateway = gateways - 1; gateway >= 0; gateway -= 1) await read(account, `/v1/accounts/${account}`, { deposits, gateway });
      await pause(PAUSE_MS);
    }
  }

  const clients = Promise.all(accounts.map(client));
  return {
    async stop() {
      stopped = true;
      await clients;
      return { reads, refused, wrong };
    },
  };
}

function textOf(body: Readonly<Record<string, unknown>>): string {
  return Object.entries(body).map(([name, value]) => `${name}=${String(value)}`).join(' ');
}
