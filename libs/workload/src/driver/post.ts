/** One request. Undici's `dispatch` is used directly: it costs half the CPU of `request`. */
import type { Dispatcher } from 'undici';

export interface Answer {
  readonly status: number;
  readonly retryAfter: string | undefined;
  readonly body: string;
  /** Set where the connection ended within the body: what came before it counts. */
  readonly cut?: Error;
}

export interface Post {
  readonly path: string;
  readonly headers: readonly string[];
  readonly body: string;
}

export type Get = Omit<Post, 'body'>;

/** The answer. @throws the connection's error where none began. */
export function post(pool: Dispatcher, request: Post): Promise<Answer> {
  return ask(pool, { method: 'POST', ...request });
}

/** The answer. @throws the connection's error where none began. */
export function get(pool: Dispatcher, request: Get): Promise<Answer> {
  return ask(pool, { method: 'GET', ...request });
}

function ask(pool: Dispatcher, { method, path, headers, body }: Get & { readonly method: 'GET' | 'POST'; readonly body?: string }): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let head: Pick<Answer, 'status' | 'retryAfter'> | undefined;
    const text = (): string => Buffer.concat(chunks).toString('utf8');
    pool.dispatch(
      { path, method, headers: [...headers], body },
      {
        onRequestStart: () => undefined,
        onResponseStart(_controller, status, answerHeaders) {
          const retryAfter = answerHeaders['retry-after'];
          head = { status, retryAfter: typeof retryAfter === 'string' ? retryAfter : undefined };
        },
        onResponseData: (_controller, chunk) => void chunks.push(chunk),
        onResponseEnd() {
          if (head) resolve({ ...head, body: text() });
          else reject(new Error('the answer has no head'));
        },
        onResponseError(_controller, error) {
          if (head) resolve({ ...head, body: text(), cut: error });
          else reject(error);
        },
      },
    );
  });
}
