/** A request to the gateway, with the key of the target. */
import { parseJson } from '@millrace/wire';

import type { Gateway } from './target.ts';

export interface Question {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: string;
  readonly contentType?: string;
  readonly waitSeconds?: number;
}

export interface Answer {
  readonly ok: boolean;
  readonly status: number;
  /** Parsed where it is JSON; the text where it is not. */
  readonly body: unknown;
}

const TIMEOUT_MS = 90_000;

export async function ask({ url, apiKey }: Gateway, { method, path, body, contentType, waitSeconds }: Question): Promise<Answer> {
  const headers = new Headers({ authorization: `Bearer ${apiKey}` });
  if (contentType !== undefined) headers.set('content-type', contentType);
  if (waitSeconds !== undefined) headers.set('prefer', `wait=${waitSeconds}`);
  const response = await fetch(new URL(path, url), { method, headers, body, signal: AbortSignal.timeout(TIMEOUT_MS) });
  const text = await response.text();
  return { ok: response.ok, status: response.status, body: valueOf(text) };
}

function valueOf(text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    return text; // a page, or lines
  }
}
