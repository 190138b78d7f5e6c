/** What an answer means for a write: acked, refused for good, or to be sent again with the same key. */
import { parseJson } from '@millrace/wire';
import type { OrderEnd, WriteKind } from '../write.ts';
import type { Answer } from './post.ts';

export type Judgement =
  | { readonly is: 'acked'; readonly receipt: string }
  /** 409 to a key that was misused on purpose. */
  | { readonly is: 'conflict' }
  | { readonly is: 'failed'; readonly problem: string }
  | { readonly is: 'again'; readonly reason: string };

/** What the answer to a question for an order tells of its end. */
export type EndJudgement =
  | { readonly is: 'ended'; readonly state: OrderEnd }
  | { readonly is: 'open' }
  | { readonly is: 'again'; readonly reason: string };

interface Reply {
  readonly receipt?: unknown;
  readonly error?: unknown;
  readonly code?: unknown;
  readonly type?: unknown;
  readonly status?: unknown;
  readonly state?: unknown;
}

const MISMATCH = 'idempotency_mismatch';
const AGAIN_STATUSES: ReadonlySet<number> = new Set([408, 425, 429]);

/** The meaning of the answer to a single POST. Without `receipts` any success is an ack, and its body is not read. */
export function judgeAnswer(answer: Answer, kind: WriteKind, { receipts }: { receipts: boolean }): Judgement {
  if (answer.cut) return again('connection_cut');
  if (!receipts && isSuccess(answer.status)) return { is: 'acked', receipt: '' };
  const reply = parseReply(answer.body);
  return isSuccess(answer.status) ? judgeReceipt(reply) : judgeProblem(reply, answer.status, kind);
}

/** The meaning of each line of the answer to a bulk body; lines that did not come are to be sent again. */
export function judgeLines(answer: Answer, kinds: readonly WriteKind[]): Judgement[] {
  if (!isSuccess(answer.status)) {
    const reply = answer.cut ? {} : parseReply(answer.body);
    return kinds.map((kind) => judgeProblem(reply, answer.status, kind));
  }
  const lines = answer.body.split('\n');
  const complete = answer.cut ? lines.length - 1 : lines.length;
  return kinds.map((kind, index) => {
    const line = index < complete ? lines[index] : undefined;
    return line ? judgeLine(parseReply(line), kind) : again('line_unanswered');
  });
}

/** Whether an order has ended, and how. One that is not there yet has only not been applied yet. */
export function judgeEnd(answer: Answer): EndJudgement {
  if (answer.cut) return { is: 'again', reason: 'connection_cut' };
  if (answer.status === 404) return { is: 'open' };
  const reply = parseReply(answer.body);
  if (!isSuccess(answer.status)) return { is: 'again', reason: problemName(reply, answer.status) };
  const state = reply?.state;
  return state === 'confirmed' || state === 'rejected' || state === 'cancelled' ? { is: 'ended', state } : { is: 'open' };
}

function judgeLine(reply: Reply | undefined, kind: WriteKind): Judgement {
  if (!reply || !isObject(reply.error)) return judgeReceipt(reply);
  const { status } = reply.error;
  return judgeProblem(reply.error, typeof status === 'number' ? status : 0, kind);
}

function judgeReceipt(reply: Reply | undefined): Judgement {
  return typeof reply?.receipt === 'string' ? { is: 'acked', receipt: reply.receipt } : { is: 'failed', problem: 'no_receipt' };
}

function judgeProblem(reply: Reply | undefined, status: number, kind: WriteKind): Judgement {
  const problem = problemName(reply, status);
  if (status >= 500 || AGAIN_STATUSES.has(status)) return again(problem);
  if (kind === 'mismatch' && problem === MISMATCH) return { is: 'conflict' };
  return { is: 'failed', problem };
}

function problemName(reply: Reply | undefined, status: number): string {
  if (typeof reply?.code === 'string') return reply.code;
  return typeof reply?.type === 'string' ? reply.type : `http_${status}`;
}

function parseReply(text: string): Reply | undefined {
  try {
    const value = parseJson(text);
    return isObject(value) ? value : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function isObject(value: unknown): value is Reply {
  return typeof value === 'object' && value !== null;
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

function again(reason: string): Judgement {
  return { is: 'again', reason };
}
