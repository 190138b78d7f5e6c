/**
 * A bulk request from its first byte to its last answer.
 *
 * Back-pressure is one number, the chunks between reading and answering: a chunk is done when the client's socket took
 * its answer. At the limit nothing more is read, so neither a slow Kafka nor a client that does not read its answers
 * makes memory grow.
 *
 * Stopped before the body's end, it has no answers to the lines that it did not read: the answer then breaks off, and
 * never ends as if it were whole.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Tenant } from '@millrace/write';
import type { Deadlines } from '../http/deadlines.ts';
import type { Limits } from '../limits.ts';
import { drainingRefusal } from '../write/admission.ts';
import { answerChunk, refuseLines, type ChunkOptions } from './chunk.ts';
import { createLineSplitter, type Line } from './split.ts';

export interface BulkStream {
  /** Takes no further lines: what was read is answered, then the answer ends, or breaks off where the body goes on. */
  stop(): void;
  /** Resolves when the answer has ended or the client is gone. */
  readonly done: Promise<void>;
}

export interface BulkStreamOptions extends ChunkOptions {
  readonly limits: Limits;
  readonly deadlines: Deadlines;
}

export const NDJSON_TYPE = 'application/x-ndjson';

export function startBulkStream(tenant: Tenant, req: IncomingMessage, res: ServerResponse, options: BulkStreamOptions): BulkStream {
  const { limits, deadlines } = options;
  const idle = { expiresAtMs: 0, expire: () => res.destroy() };
  let phase: 'reading' | 'stopping' | 'gone' = 'reading';
  let readable = true;
  let chunksInFlight = 0;
  let answered = Promise.resolve();
  let wake = (): void => undefined;

  function moved(): void {
    idle.expiresAtMs = performance.now() + limits.bulkIdleTimeoutMs;
    wake();
  }

  function gone(): void {
    phase = 'gone';
    wake();
  }

  /** Until bytes come, the body ends, an answer is taken or the client goes away. */
  function change(): Promise<void> {
    return new Promise((resolve) => {
      wake = resolve;
    });
  }

  async function nextBytes(): Promise<Buffer | undefined> {
    while (phase === 'reading') {
      const bytes: unknown = req.read();
      if (bytes instanceof Buffer) return bytes;
      if (!readable) return undefined;
      await change();
    }
    return undefined;
  }

  async function submit(lines: readonly Line[]): Promise<void> {
    for (const chunk of chunksOf(lines, limits)) {
      while (chunksInFlight >= limits.bulkChunksInFlightMax && phase !== 'gone') await change();
      if (phase === 'gone') return;
      chunksInFlight += 1;
      const answers = phase === 'reading' ? answerChunk(tenant, chunk, options) : refuseLines(tenant, chunk, drainingRefusal(), options.metrics);
      answered = answered.then(async () => {
        await write(await answers);
        chunksInFlight -= 1;
        moved();
      });
    }
  }

  async function write(text: string): Promise<void> {
    if (phase === 'gone' || res.write(text)) return;
    while (res.writableNeedDrain && !isGone()) await drained(res);
  }

  function isGone(): boolean {
    return phase === 'gone';
  }

  async function run(): Promise<void> {
    const splitter = createLineSplitter(limits.lineBytesMax);
    for (let bytes = await nextBytes(); bytes !== undefined; bytes = await nextBytes()) {
      moved();
      await submit(splitter.push(bytes));
    }
    const whole = !readable || (req.complete && req.readableLength === 0);
    if (whole) await submit(splitter.end());
    await answered;
    deadlines.remove(idle);
    if (isGone()) return;
    if (whole) res.end();
    else await breakOff(req, res, { limits, deadlines });
  }

  req.on('readable', moved);
  req.on('end', () => {
    readable = false;
    wake();
  });
  req.on('error', gone);
  res.on('close', gone);
  moved();
  deadlines.add(idle);
  if (req.headers.expect !== undefined) res.writeContinue();
  res.writeHead(200, ['Content-Type', NDJSON_TYPE, 'Cache-Control', 'no-store', 'X-Accel-Buffering', 'no']);
  const stop = (): void => {
    if (phase === 'reading') phase = 'stopping';
    wake();
  };
  return { stop, done: run() };
}

/**
 * Ends the connection without the end of the answer, so that the client sees that lines are missing. What it still sends
 * is dropped for a while, because a connection closed on it could lose the answers that are on their way.
 */
function breakOff(req: IncomingMessage, res: ServerResponse, { limits, deadlines }: { readonly limits: Limits; readonly deadlines: Deadlines }): Promise<void> {
  return new Promise((resolve) => {
    const linger = { expiresAtMs: performance.now() + limits.lingerMs, expire: () => res.destroy() };
    let unread = 0;

    function drop(): void {
      for (let bytes: unknown = req.read(); bytes instanceof Buffer; bytes = req.read()) unread += bytes.length;
      if (unread > limits.lingerBytesMax) res.destroy();
    }

    deadlines.add(linger);
    res.on('close', () => {
      deadlines.remove(linger);
      resolve();
    });
    req.on('readable', drop);
    req.on('end', () => res.destroy());
    req.socket.end();
    drop();
  });
}

function drained(res: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const settle = (): void => {
      res.off('drain', settle);
      res.off('close', settle);
      resolve();
    };
    res.on('drain', settle);
    res.on('close', settle);
  });
}

/** Lines in groups of limited size. */
function* chunksOf(lines: readonly Line[], { bulkChunkLinesMax, bulkChunkBytesMax }: Limits): Iterable<readonly Line[]> {
  let start = 0;
  let chars = 0;
  for (let i = 0; i < lines.length; i += 1) {
    const line = lines[i];
    const length = typeof line === 'string' ? line.length : 0;
    if (i > start && (i - start >= bulkChunkLinesMax || chars + length > bulkChunkBytesMax)) {
      yield lines.slice(start, i);
      start = i;
      chars = 0;
    }
    chars += length;
  }
  if (start < lines.length) yield lines.slice(start);
}
