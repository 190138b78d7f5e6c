/** The `Prefer` header (RFC 7240), of which the gateway knows `wait`. */

const WAIT_PATTERN = /(?:^|[,;])\s*wait\s*=\s*"?(\d{1,9})"?\s*(?=$|[,;])/i;

/**
 * How long the client wants to wait, in milliseconds, at most `waitMsMax`; undefined where it does not ask or asks
 * in a way that cannot be read. A preference is never an error.
 */
export function waitMsOf(prefer: string | string[] | undefined, waitMsMax: number): number | undefined {
  if (prefer === undefined) return undefined;
  const match = WAIT_PATTERN.exec(Array.isArray(prefer) ? prefer.join(',') : prefer);
  return match?.[1] === undefined ? undefined : Math.min(Number(match[1]) * 1000, waitMsMax);
}
