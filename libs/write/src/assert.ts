/** Assertions are for our own bugs: they end the process, and the supervisor starts it again from the rows. */

export class AssertionFailed extends Error {
  override readonly name = 'AssertionFailed';
}

/** @throws AssertionFailed where the condition does not hold; `why` names the invariant. */
export function assert(condition: unknown, why: string): asserts condition {
  if (!condition) throw new AssertionFailed(why);
}

/** The value, which cannot be absent. @throws AssertionFailed where it is. */
export function must<T>(value: T | null | undefined, why: string): T {
  assert(value !== null && value !== undefined, why);
  return value;
}

/** The end of an exhaustive switch. @throws AssertionFailed always. */
export function unreachable(value: never): never {
  throw new AssertionFailed(`unreachable: ${String(value)}`);
}
