/**
 * How a body comes in: counted against the limits as it comes, at a deadline, decoded strictly.
 *
 * A refused body is still read for a while where that is what lets the client read the answer.
 */
import { isUtf8 } from 'node:buffer';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { InFlight } from '../write/in-flight.ts';
import type { Limits } from '../limits.ts';
import { Refusal, refusalBody, refusalHeaders, sendRefusal } from './answer.ts';
import type { Deadlines } from './deadlines.ts';

export interface BodyReader {
  /** Calls `done` once with the text, or with why there is none; never if the client went away. */
  read(req: IncomingMessage, res: ServerResponse, done: (text: string, refusal: Refusal | undefined) => void): void;
  /** Answers a request whose body was not read. */
  refuse(req: IncomingMessage, res: ServerResponse, refusal: Refusal): void;
}

export function createBodyReader({ limits, deadlines, inFlight }: { limits: Limits; deadlines: Deadlines; inFlight: InFlight }): BodyReader {
  function read(req: IncomingMessage, res: ServerResponse, done: (text: string, refusal: Refusal | undefined) => void): void {
    let first: Buffer | undefined;
    let more: Buffer[] | undefined;
    let bytes = 0;
    let over = false;
    const deadline = { expiresAtMs: performance.now() + limits.bodyTimeoutMs, expire: () => stop(tooSlow()) };

    function settle(): void {
      deadlines.remove(deadline);
      inFlight.giveBytes(bytes);
      first = undefined;
      more = undefined;
      over = true;
    }

    /** What comes after this is not looked at: a body that completes late must not become a write. */
    function stop(refusal: Refusal): void {
      settle();
      done('', refusal);
    }

    deadlines.add(deadline);
    req.on('data', (chunk: Buffer) => {
      if (over) return;
      if (bytes + chunk.length > limits.bodyBytesMax || !inFlight.takeBytes(chunk.length)) {
        stop(bytes + chunk.length > limits.bodyBytesMax ? bodyTooLarge(limits) : tooMuchInFlight());
        return;
      }
      bytes += chunk.length;
      if (first === undefined) first = chunk;
      else (more ??= [first]).push(chunk);
    });
    req.on('end', () => {
      if (over) return;
      const body = more ? Buffer.concat(more) : first;
      settle();
      if (body === undefined) done('', undefined);
      else if (isUtf8(body)) done(body.toString('utf8'), undefined);
      else done('', new Refusal('malformed_json', 'the body is not UTF-8'));
    });
    // The client went away with its body half sent: nobody is left to answer.
    req.on('error', () => {
      if (!over) settle();
    });
    if (req.headers.expect !== undefined) res.writeContinue();
  }

  function refuse(req: IncomingMessage, res: ServerResponse, refusal: Refusal): void {
    const declared = Number(req.headers['content-length']);
    if (req.complete || hasNoBody(req)) sendRefusal(res, refusal);
    else if (isTooSlow(refusal)) refuseAndClose(req, res, refusal);
    else if (req.headers.expect !== undefined) sendRefusal(res, refusal, { close: true });
    else if (declared <= limits.bodyBytesMax) refuseAfterBody(req, res, refusal);
    else refuseAndClose(req, res, refusal);
  }

  /** Keeps the connection: the rest of a body of known length is short. */
  function refuseAfterBody(req: IncomingMessage, res: ServerResponse, refusal: Refusal): void {
    const deadline = { expiresAtMs: performance.now() + limits.bodyTimeoutMs, expire };

    function expire(): void {
      req.off('end', answer);
      refuseAndClose(req, res, tooSlow());
    }

    function answer(): void {
      sendRefusal(res, refusal);
    }

    deadlines.add(deadline);
    req.on('close', () => deadlines.remove(deadline));
    req.on('error', () => deadlines.remove(deadline));
    req.on('end', answer);
    req.resume();
  }

  /** Answers in full at once, but closes only after the client had time to stop sending and read. */
  function refuseAndClose(req: IncomingMessage, res: ServerResponse, refusal: Refusal): void {
    if (res.headersSent) {
      res.destroy();
      return;
    }
    let unread = 0;
    const linger = { expiresAtMs: performance.now() + limits.lingerMs, expire: finish };

    function finish(): void {
      deadlines.remove(linger);
      if (!res.writableEnded) res.end();
    }

    res.writeHead(refusal.document.status, refusalHeaders(refusal, true));
    res.write(refusalBody(refusal));
    deadlines.add(linger);
    req.on('data', (chunk: Buffer) => {
      unread += chunk.length;
      if (unread > limits.lingerBytesMax) finish();
    });
    req.on('end', finish);
    req.on('error', finish);
    req.resume();
  }

  return { read, refuse };
}

function hasNoBody({ headers }: IncomingMessage): boolean {
  return headers['content-length'] === undefined && headers['transfer-encoding'] === undefined;
}

export function bodyTooLarge(limits: Limits): Refusal {
  return new Refusal('body_too_large', `the limit is ${limits.bodyBytesMax} bytes`);
}

export function tooMuchInFlight(): Refusal {
  return new Refusal('too_many_requests', undefined, { retryAfterS: 1 });
}

function tooSlow(): Refusal {
  return new Refusal('request_timeout');
}

function isTooSlow({ document }: Refusal): boolean {
  return document.code === 'request_timeout';
}
