/** Waiting and trying again: exponential backoff with full jitter, a limit, and an abort signal on every wait. */

export interface Backoff {
  /** The most that the first wait can last. */
  readonly baseMs: number;
  /** The most that any wait can last. */
  readonly maxMs: number;
  /** 0 up to 1; a test's own. */
  readonly random?: () => number;
}

export interface RetryOptions extends Backoff {
  readonly signal: AbortSignal;
  /** Which errors are worth another attempt; every other one is thrown as it is. */
  readonly retryable: (error: unknown) => boolean;
  /** Attempts in all, the first included; unlimited by default. */
  readonly attemptsMax?: number;
  /** Told before each wait. */
  readonly onRetry?: (retry: Retry) => void;
}

export interface Retry {
  /** The attempt that failed, from 1. */
  readonly attempt: number;
  readonly delayMs: number;
  readonly error: unknown;
}

/** Resolves after `ms`; rejects with the signal's reason as soon as it aborts. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason as Error);
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, Math.max(0, ms));
    signal?.addEventListener('abort', onAbort, { once: true });
    return undefined;
  });
}

/** The wait after failed attempt number `attempt` (from 1): anywhere from 0 to min(maxMs, baseMs * 2^(attempt-1)). */
export function backoffMs(attempt: number, { baseMs, maxMs, random = Math.random }: Backoff): number {
  return Math.floor(random() * Math.min(maxMs, baseMs * 2 ** (attempt - 1)));
}

/**
 * Does the work until it succeeds.
 *
 * @throws the error that is not retryable, or the last one at `attemptsMax`; the signal's reason once it aborts.
 */
export async function retry<T>(work: (attempt: number) => Promise<T>, options: RetryOptions): Promise<T> {
  const { signal, retryable, attemptsMax = Infinity, onRetry } = options;
  for (let attempt = 1; ; attempt += 1) {
    signal.throwIfAborted();
    try {
      return await work(attempt);
    } catch (error) {
      if (!retryable(error) || attempt >= attemptsMax) throw error;
      const delayMs = backoffMs(attempt, options);
      onRetry?.({ attempt, delayMs, error });
      await sleep(delayMs, signal);
    }
  }
}
