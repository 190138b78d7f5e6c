/** NDJSON lines of captures in bulk: fixed-width lines, so a chunk is a template with its digits patched in. */
import { captureLine, captureOf } from '../writes.ts';

const ZERO = 48;

/** `lines(from, count)` gives the lines of writes `from` to `from + count - 1`, as `captureLine` would write them. */
export function createLines(run: string): (from: number, count: number) => Buffer {
  const template = Buffer.from(captureLine(run, 0), 'latin1');
  const text = template.toString('latin1');
  const numbersAt = [...text.matchAll(/-0{9}(?=")/g)].map((match) => match.index + 1);
  const accountAt = text.indexOf('"acct-') + 6;
  const amountAt = text.indexOf('"amount":"') + 10;

  return (from, count) => {
    const chunk = Buffer.allocUnsafe(template.length * count);
    for (let i = 0; i < count; i++) {
      const lineAt = i * template.length;
      const { account, amount } = captureOf(run, from + i);
      template.copy(chunk, lineAt);
      for (const at of numbersAt) writeDigits(chunk, lineAt + at + 8, from + i);
      chunk.write(account.slice(5), lineAt + accountAt, 'latin1');
      chunk.write(amount, lineAt + amountAt, 'latin1');
    }
    return chunk;
  };
}

/** Writes a number over the zeros that stand there, its last digit at `lastAt`. */
function writeDigits(into: Buffer, lastAt: number, value: number): void {
  for (let at = lastAt, rest = value; rest > 0; rest = Math.floor(rest / 10)) into[at--] = ZERO + (rest % 10);
}
