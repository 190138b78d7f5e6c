/** One request to an API of ours that takes a bearer token: JSON out, checked JSON in. */
import { request as requestPlainly, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as requestSecurely } from 'node:https';
import { text } from 'node:stream/consumers';

import { parseJson, toJson } from '@millrace/wire';
import { z } from 'zod';

import { UsageError } from '../usage-error.ts';
import { ApiProblem, ApiSilent } from './api-error.ts';

export interface Endpoint {
  readonly url: string;
  readonly token: string;
  /** How messages call it. */
  readonly name: string;
}

export interface Call<T> {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly body?: unknown;
  readonly answer: z.ZodType<T>;
  /** Longer for what compares or counts rows. */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 30_000;

/** @throws ApiProblem for a refusal; ApiSilent where nobody answers; UsageError for an answer of another version. */
export async function call<T>(endpoint: Endpoint, { method, path, body, answer, timeoutMs = TIMEOUT_MS }: Call<T>): Promise<T> {
  const { status, value } = await send(endpoint, { method, path, body, timeoutMs });
  if (status >= 400) throw new ApiProblem(status, value);
  const parsed = answer.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new UsageError(`${endpoint.name} answers ${method} ${path} as another version would:\n${z.prettifyError(parsed.error)}`);
}

interface Sent {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
  readonly timeoutMs: number;
}

async function send({ url, token, name }: Endpoint, { method, path, body, timeoutMs }: Sent): Promise<{ readonly status: number; readonly value: unknown }> {
  const headers = { authorization: `Bearer ${token}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) };
  try {
    const response = await exchange(new URL(path, url), { method, headers, signal: AbortSignal.timeout(timeoutMs) }, body === undefined ? undefined : toJson(body));
    return { status: response.statusCode ?? 0, value: valueOf(await text(response)) };
  } catch (cause) {
    throw new ApiSilent(`${name} at ${url}`, { cause });
  }
}

/** Not by fetch, which gives up after five minutes without an answer: a full compare takes longer. */
function exchange(url: URL, options: RequestOptions, body: string | undefined): Promise<IncomingMessage> {
  const request = url.protocol === 'https:' ? requestSecurely : requestPlainly;
  return new Promise((resolve, reject) => {
    request(url, { ...options, agent: false }, resolve).on('error', reject).end(body);
  });
}

function valueOf(content: string): unknown {
  try {
    return parseJson(content);
  } catch {
    return undefined; // no content, or a page
  }
}
