/** COPY in text format: one line per row, tabs between columns. Both ways with back-pressure: what is held is a buffer. */
import { pipeline } from 'node:stream/promises';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import type { ClientBase } from 'pg';

/** What goes into a COPY: text that ends between two rows, or bytes cut anywhere, as another COPY gave them. */
export type Pieces = Iterable<string | Buffer> | AsyncIterable<string | Buffer>;

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

/** Sends the pieces and waits until the server has taken them all: so many rows. The client must be idle. */
export async function copyInto(client: ClientBase, sql: string, pieces: Pieces): Promise<number> {
  const stream = client.query(copyFrom(sql));
  await pipeline(inMessages(pieces), stream);
  return stream.rowCount;
}

/**
 * The rows as the server sends them, no faster than they are taken. Ends when the server is ready for the next
 * statement. The client must be idle, and is of no use any more where the reader leaves before the end.
 */
export async function* copyOutOf(client: ClientBase, sql: string): AsyncGenerator<Buffer, void, undefined> {
  const { promise: ready, resolve, reject } = Promise.withResolvers<void>();
  // The last row comes before the server's word that it is ready, and pg tells that to nobody else.
  const stream = Object.assign(copyTo(sql), { handleReadyForQuery: () => resolve() });
  stream.on('error', reject);
  ready.catch(() => undefined);
  client.query(stream);
  for await (const chunk of stream as AsyncIterable<Buffer>) yield chunk;
  await ready;
}

function inMessages(pieces: Pieces): Generator<Buffer> | AsyncGenerator<Buffer> {
  return Symbol.asyncIterator in pieces ? whenReady(pieces) : gathered(pieces);
}

async function* whenReady(pieces: AsyncIterable<string | Buffer>): AsyncGenerator<Buffer> {
  for await (const piece of pieces) yield typeof piece === 'string' ? Buffer.from(piece) : piece;
}

function* gathered(pieces: Iterable<string | Buffer>): Generator<Buffer> {
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
