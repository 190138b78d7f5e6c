/**
 * One keep-alive HTTP/1.1 connection with one request in flight, on a bare socket.
 *
 * A general HTTP client costs as much processor as the servers it would measure here; this one costs a write, a
 * read and a search for the end of the head.
 */
import { connect, type Socket } from 'node:net';

export interface Answer {
  readonly status: number;
  readonly body: () => string;
}

export interface Connection {
  readonly busy: () => boolean;
  /** Sends a complete request. @throws where one is still in flight. */
  readonly send: (request: string, onAnswer: (answer: Answer) => void) => void;
  readonly close: () => void;
}

const HEAD_END = Buffer.from('\r\n\r\n');
const STATUS_AT = 'HTTP/1.1 '.length;

export function openConnection({ port, onError }: { port: number; onError: (error: Error) => void }): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(connectionOf(socket, onError));
    });
  });
}

function connectionOf(socket: Socket, onError: (error: Error) => void): Connection {
  let waiting: ((answer: Answer) => void) | undefined;
  let held: Buffer | undefined;
  let closed = false;
  socket.on('error', (error) => {
    if (!closed) onError(error);
  });
  socket.on('close', () => {
    if (!closed) onError(new Error('the server closed the connection'));
  });
  socket.on('data', (chunk) => {
    const received = held === undefined ? chunk : Buffer.concat([held, chunk]);
    const answer = answerIn(received);
    held = answer === undefined ? received : undefined;
    if (answer === undefined) return;
    const deliver = waiting;
    waiting = undefined;
    deliver?.(answer);
  });
  return {
    busy: () => waiting !== undefined,
    send: (request, onAnswer) => {
      if (waiting !== undefined) throw new Error('a request is in flight');
      waiting = onAnswer;
      socket.write(request, 'latin1');
    },
    close: () => {
      closed = true;
      socket.destroy();
    },
  };
}

/** The answer, once all of it is here. */
function answerIn(received: Buffer): Answer | undefined {
  const headEnd = received.indexOf(HEAD_END);
  if (headEnd < 0) return undefined;
  const length = /\r\ncontent-length: *(\d+)/i.exec(received.toString('latin1', 0, headEnd))?.[1];
  if (length === undefined) throw new Error('this client needs a Content-Length');
  const bodyAt = headEnd + HEAD_END.length;
  if (received.length < bodyAt + Number(length)) return undefined;
  return {
    status: (received[STATUS_AT]! - 48) * 100 + (received[STATUS_AT + 1]! - 48) * 10 + (received[STATUS_AT + 2]! - 48),
    body: () => received.toString('utf8', bodyAt),
  };
}
