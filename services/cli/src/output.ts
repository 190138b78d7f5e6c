/** What a command prints: lines for people, one JSON document with --json, and a line that renews itself. */
import { toJson } from '@millrace/wire';

const QUIET_EVERY_MS = 3_000;
const ERASE_LINE = '\r\u001b[K';

export interface Output {
  /** A line for people; left out with --json. */
  say(line: string): void;
  /** The result: text for people, or the value with --json. */
  result(text: string, value: unknown): void;
  /** A line that replaces the one before; where the output is no terminal, a line of its own every few seconds. */
  live(line: string): void;
  /** The last live line stays. */
  settle(): void;
}

export function createOutput({ json, stream = process.stdout }: { readonly json: boolean; readonly stream?: NodeJS.WriteStream }): Output {
  let shown = '';
  let lastQuietMs = -Infinity;
  const settle = (): void => {
    if (shown !== '' && stream.isTTY) stream.write('\n');
    shown = '';
  };
  /** Above the live line, which is drawn again below. */
  const above = (text: string): void => {
    if (shown === '' || !stream.isTTY) stream.write(`${text}\n`);
    else stream.write(`${ERASE_LINE}${text}\n${shown}`);
  };
  const live = (line: string): void => {
    if (json) return;
    if (stream.isTTY) {
      shown = stream.columns > 1 ? line.slice(0, stream.columns - 1) : line;
      stream.write(`${ERASE_LINE}${shown}`);
    } else if (performance.now() - lastQuietMs >= QUIET_EVERY_MS) {
      lastQuietMs = performance.now();
      stream.write(`${line}\n`);
    }
  };
  return {
    say: (line) => {
      if (!json) above(line);
    },
    result: (text, value) => {
      settle();
      stream.write(`${json ? toJson(value) : text}\n`);
    },
    live,
    settle,
  };
}

export function count(amount: number | bigint): string {
  return amount.toLocaleString('en');
}
