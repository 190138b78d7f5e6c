/**
 * One connection, as lent by the pool to one user at a time.
 *
 * Statements are pipelined: those started before the first is answered travel together and are answered in order.
 * The server's own timeouts bound every statement; the watch here bounds a server or a link that says nothing at
 * all, by destroying the socket, so that no statement is left running behind a client that somebody else gets.
 */
import { Socket } from 'node:net';
import { Client } from 'pg';
import type { ClientConfig, QueryResult } from 'pg';
import { copyInto, copyOutOf, type Pieces } from './copy.ts';
import { GOODBYE_MS } from './limits.ts';

export interface Statement {
  /** Of the prepared statement; one name, one text, in the whole program. */
  readonly name?: string;
  readonly text: string;
  readonly values?: readonly unknown[];
}

export class Session extends Client {
  /** pg's own switch; COPY is only possible without. */
  declare pipeline: boolean;
  /** Why the connection is of no use any more. */
  brokenBy: Error | undefined;
  /** Silence that is allowed while an answer is due. */
  silenceMaxMs: number;
  readonly #socket: Socket;
  #answersDue = 0;
  #gathering = false;
  #watch: NodeJS.Timeout | undefined;
  #waitingForSilence: (() => void)[] = [];

  constructor(config: ClientConfig, silenceMaxMs: number) {
    const socket = new Socket();
    super({ ...config, stream: () => socket, pipeline: true });
    this.#socket = socket;
    this.silenceMaxMs = silenceMaxMs;
    // Without a listener a connection that drops while it is lent out ends the process.
    this.on('error', (error) => (this.brokenBy ??= error));
  }

  /** Sends a statement behind those that are under way. */
  run({ name, text, values }: Statement): Promise<QueryResult> {
    this.#gatherWrites();
    return this.#watched(this.query(values === undefined ? { name, text } : { name, text, values: [...values] }));
  }

  /** COPY FROM STDIN, once every statement before it is answered; how many rows it stored; those started meanwhile wait for its end. */
  async copyIn(sql: string, pieces: Pieces): Promise<number> {
    while (this.#answersDue > 0) await this.settled();
    this.pipeline = false;
    try {
      return await this.#watched(copyInto(this, sql, pieces));
    } finally {
      this.pipeline = true;
    }
  }

  /** COPY TO STDOUT, as `copyIn`. A reader that leaves before the end costs the connection. */
  async *copyOut(sql: string): AsyncGenerator<Buffer, void, undefined> {
    while (this.#answersDue > 0) await this.settled();
    this.pipeline = false;
    this.#answersDue += 1;
    let ended = false;
    try {
      this.#watchOn();
      for await (const chunk of copyOutOf(this, sql)) {
        // How long the reader takes over it says nothing about the server.
        clearTimeout(this.#watch);
        yield chunk;
        this.#watchOn();
      }
      ended = true;
    } catch (error) {
      ended = true;
      throw error;
    } finally {
      if (!ended) this.#socket.destroy((this.brokenBy ??= new Error('a COPY was left before its end, connection destroyed')));
      this.pipeline = true;
      this.#answered();
    }
  }

  /** Resolves when no answer is due. */
  settled(): Promise<void> {
    if (this.#answersDue === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waitingForSilence.push(resolve));
  }

  /** Ends the connection that the pool has let go: politely where the link still answers, else at once. */
  hangUp(): void {
    if (this.#answersDue > 0 || this.brokenBy !== undefined) return void this.#socket.destroy();
    const force = setTimeout(() => this.#socket.destroy(), GOODBYE_MS);
    this.#socket.once('close', () => clearTimeout(force));
  }

  /** What is sent in one go of the program leaves in one system call: statements that are pipelined travel together. */
  #gatherWrites(): void {
    if (this.#gathering) return;
    this.#gathering = true;
    this.#socket.cork();
    process.nextTick(() => {
      this.#gathering = false;
      this.#socket.uncork();
    });
  }

  async #watched<T>(answer: Promise<T>): Promise<T> {
    this.#answersDue += 1;
    this.#watchOn();
    try {
      return await answer;
    } finally {
      this.#answered();
    }
  }

  #answered(): void {
    this.#answersDue -= 1;
    this.#watchOn();
    if (this.#answersDue === 0) for (const wake of this.#waitingForSilence.splice(0)) wake();
  }

  #watchOn(): void {
    clearTimeout(this.#watch);
    if (this.#answersDue === 0) return;
    const silenceMaxMs = this.silenceMaxMs;
    this.#watch = setTimeout(() => {
      this.#socket.destroy(new Error(`no answer for ${silenceMaxMs} ms, connection destroyed`));
    }, silenceMaxMs);
  }
}
