/** One timer for all deadlines of the gateway: a timer per request would cost more than many a request. */

export interface Deadline {
  /** On the clock of `performance.now()`. */
  expiresAtMs: number;
  expire(): void;
}

export interface Deadlines {
  add(deadline: Deadline): void;
  remove(deadline: Deadline): void;
  size(): number;
  stop(): void;
}

/** Deadlines expire up to `tickMs` late. */
export function createDeadlines(tickMs: number): Deadlines {
  const pending = new Set<Deadline>();
  const timer = setInterval(expireDue, tickMs).unref();

  function expireDue(): void {
    const nowMs = performance.now();
    for (const deadline of pending) {
      if (deadline.expiresAtMs > nowMs) continue;
      pending.delete(deadline);
      deadline.expire();
    }
  }

  return {
    add: (deadline) => void pending.add(deadline),
    remove: (deadline) => void pending.delete(deadline),
    size: () => pending.size,
    stop: () => clearInterval(timer),
  };
}
