/** COPY ... FROM STDIN in text format: one line per row, tabs between columns. */
import { pipeline } from 'node:stream/promises';
import { from as copyFrom } from 'pg-copy-streams';
import type { ClientBase } from 'pg';

/** Small pieces are gathered into messages of about this size. */
const MESSAGE_BYTES = 64 * 1024;

const SPECIAL = /[\\\t\n\r]/g;
const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' };

/** A column's value, escaped; null becomes `\N`. The text must not hold NUL: Postgres refuses it (22021). */
export function copyText(value: string | null): string {
  if (value === null) return '\\N';
  return value.replace(SPECIAL, (special) => ESCAPES[special] ?? special);
}

/** One row's line. Bytea is given as `\x` and hex digits, json as text. */
export function copyRow(values: readonly (string | number | bigint | boolean | null)[]): string {
  return `${values.map((value) => copyText(value === null ? null : String(value))).join('\t')}\n`;
}

/** Sends the pieces and waits until the server has taken them all. The client must be idle. */
export async function copyInto(client: ClientBase, sql: string, pieces: Iterable<string | Buffer>): Promise<void> {
  await pipeline(inMessages(pieces), client.query(copyFrom(sql)));
}

function* inMessages(pieces: Iterable<string | Buffer>): Generator<Buffer> {
  let text = '';
  for (const piece of pieces) {
    if (typeof piece === 'string') {
      text += piece;
      if (text.length < MESSAGE_BYTES) continue;
      yield Buffer.from(text);
      text = '';
      continue;
    }
    if (text !== '') yield Buffer.from(text);
    text = '';
    yield piece;
  }
  if (text !== '') yield Buffer.from(text);
}
