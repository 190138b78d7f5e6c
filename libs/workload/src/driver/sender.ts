/** One connection's loop: take what is ready, send it, send again with the same keys what was not settled. */
import { backoffMs, sleep } from '@millrace/runtime';
import { must } from '@millrace/write';
import type { Dispatcher } from 'undici';
import { BACKOFF_BASE_MS, BACKOFF_MAX_MS, RETRY_AFTER_MAX_MS } from '../limits.ts';
import type { Appetite, Counter } from './counter.ts';
import { type Judgement, judgeAnswer, judgeLines } from './judge.ts';
import { type Answer, post } from './post.ts';
import { BULK_PATH, lineOf, requestOf } from './request.ts';
import type { Node } from './schedule.ts';
import type { Tally } from './tally.ts';

export interface Sending {
  readonly pool: Dispatcher;
  readonly apiKey: string;
  readonly counter: Counter;
  readonly tally: Tally;
  /** False where acks are counted and their receipts are not read. */
  readonly receipts: boolean;
  /** Ends the run: what is not settled stays so. */
  readonly stop: AbortSignal;
  readonly nowMs: () => number;
}

/** Codes of calls that are wrong in themselves: sending them again cannot help. */
const CALL_ERRORS = /^(?:UND_ERR|ERR)_INVALID/;

interface Outcome {
  readonly judgements: readonly Judgement[];
  readonly retryAfterMs: number;
}

/** Sends until the counter has nothing left, or `stop`. */
export async function runSender(sending: Sending, appetite: Appetite): Promise<void> {
  const bulk = appetite.max > 1;
  for (;;) {
    const batch = await sending.counter.take(appetite);
    if (!batch) return;
    await deliver(sending, batch, bulk);
    if (sending.stop.aborted) return;
  }
}

async function deliver(sending: Sending, batch: readonly Node[], bulk: boolean): Promise<void> {
  const { counter, tally, stop } = sending;
  let left = batch;
  for (let attempt = 1; ; attempt++) {
    const { judgements, retryAfterMs } = await send(sending, left, bulk);
    if (stop.aborted && judgements.every(({ is }) => is === 'again')) return;
    left = left.filter((node, index) => {
      const isSettled = tally.judged(node.work, must(judgements[index], 'each write is judged'), { bulk });
      if (isSettled) counter.settle(node);
      return !isSettled;
    });
    if (left.length === 0 || stop.aborted) return;
    await pause(retryAfterMs + backoffMs(attempt, { baseMs: BACKOFF_BASE_MS, maxMs: BACKOFF_MAX_MS }), stop);
  }
}

async function send(sending: Sending, nodes: readonly Node[], bulk: boolean): Promise<Outcome> {
  const { pool, tally, nowMs } = sending;
  const startMs = nowMs();
  tally.sent(nodes.length);
  try {
    const answer = await post(pool, bulk ? bulkPost(sending, nodes) : singlePost(sending, nodes));
    tally.answered(nowMs() - startMs, { bulk });
    return { judgements: judge(sending, nodes, answer, bulk), retryAfterMs: retryAfterMsOf(answer) };
  } catch (error) {
    const reason = connectionError(error);
    return { judgements: nodes.map(() => ({ is: 'again', reason })), retryAfterMs: 0 };
  }
}

function judge({ receipts }: Sending, nodes: readonly Node[], answer: Answer, bulk: boolean): Judgement[] {
  const kinds = nodes.map(({ work }) => work.kind);
  return bulk ? judgeLines(answer, kinds) : kinds.map((kind) => judgeAnswer(answer, kind, { receipts }));
}

function singlePost({ apiKey }: Sending, [node]: readonly Node[]): { path: string; body: string; headers: string[] } {
  const { body, idempotencyKey } = must(node, 'a single POST has a write').work;
  const headers = ['authorization', `Bearer ${apiKey}`, 'content-type', 'application/json', 'idempotency-key', idempotencyKey];
  return { ...requestOf(body), headers };
}

function bulkPost({ apiKey }: Sending, nodes: readonly Node[]): { path: string; body: string; headers: string[] } {
  const headers = ['authorization', `Bearer ${apiKey}`, 'content-type', 'application/x-ndjson'];
  return { path: BULK_PATH, body: nodes.map(({ work }) => lineOf(work)).join(''), headers };
}

/** `Retry-After` in milliseconds; it comes in seconds. 0 where there is none, or where it is a date. */
function retryAfterMsOf({ retryAfter }: Answer): number {
  if (retryAfter === undefined || !/^\d{1,6}$/.test(retryAfter)) return 0;
  return Math.min(RETRY_AFTER_MAX_MS, Number(retryAfter) * 1_000);
}

/** The name of what the connection met. @throws what no connection can be blamed for. */
export function connectionError(error: unknown): string {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  if (typeof code !== 'string' || CALL_ERRORS.test(code)) throw error;
  return code;
}

/** The wait between two attempts; the end of the run ends it. */
async function pause(durationMs: number, stop: AbortSignal): Promise<void> {
  await sleep(durationMs, stop).catch((error: unknown) => {
    if (!stop.aborted) throw error;
  });
}
