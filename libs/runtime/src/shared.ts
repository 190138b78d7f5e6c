/** One answer for many who ask at once. */

/** Runs the work one at a time: whoever calls while it is under way, or about to start, shares the next run. */
export function shared<T>(work: () => Promise<T>): () => Promise<T> {
  let next: Promise<T> | undefined;
  let underWay: Promise<unknown> = Promise.resolve();

  return () => {
    if (next) return next;
    const run = underWay.then(() => {
      next = undefined;
      return work();
    });
    next = run;
    underWay = run.catch(() => undefined);
    return run;
  };
}
