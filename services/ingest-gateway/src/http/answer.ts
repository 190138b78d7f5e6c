/** How answers are written: one prebuilt string, headers as a flat list, one call. */
import type { ServerResponse } from 'node:http';
import { problem, toJson, type Problem, type ProblemCode } from '@millrace/wire';

export const JSON_TYPE = 'application/json; charset=utf-8';
export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8';

/** A refusal that a handler throws or returns; the client sees its document. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly document: Problem;
  readonly headers: readonly string[];

  constructor(code: ProblemCode, detail?: string, options: RefusalOptions = {}) {
    super(detail ?? code);
    const { retryAfterS, extra, headers = [] } = options;
    this.document = problem(code, detail, extra);
    this.headers = retryAfterS === undefined ? headers : ['Retry-After', String(retryAfterS), ...headers];
  }
}

export interface RefusalOptions {
  readonly retryAfterS?: number;
  readonly extra?: Readonly<Record<string, unknown>>;
  /** Further headers: name, value, name, value. */
  readonly headers?: readonly string[];
}

/** Answers with JSON, unless an answer has begun; `headers` is a flat list of names and values. */
export function sendJson(res: ServerResponse, status: number, body: string, headers: readonly string[] = []): void {
  if (res.headersSent) return;
  const length = String(Buffer.byteLength(body));
  res.writeHead(status, ['Content-Type', JSON_TYPE, 'Content-Length', length, ...headers]);
  res.end(body);
}

/** Answers with the refusal's document; `close` ends the connection after it. */
export function sendRefusal(res: ServerResponse, refusal: Refusal, { close = false } = {}): void {
  if (res.headersSent) {
    res.destroy();
    return;
  }
  res.writeHead(refusal.document.status, refusalHeaders(refusal, close));
  res.end(refusalBody(refusal));
}

export function refusalBody({ document }: Refusal): string {
  return toJson(document);
}

export function refusalHeaders(refusal: Refusal, close: boolean): string[] {
  const length = String(Buffer.byteLength(refusalBody(refusal)));
  const headers = ['Content-Type', PROBLEM_TYPE, 'Content-Length', length, 'Cache-Control', 'no-store', ...refusal.headers];
  // Who drains says so on every connection that asks.
  return close || refusal.document.code === 'draining' ? [...headers, 'Connection', 'close'] : headers;
}
