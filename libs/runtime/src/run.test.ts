import { EventEmitter, once } from 'node:events';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { createLog } from './log.ts';
import { run } from './run.ts';
import type { Life, RunOptions } from './run.ts';

class Process extends EventEmitter {
  readonly codes: number[] = [];
  exit(code: number): void {
    this.codes.push(code);
    this.emit('exit');
  }
}

let host: Process;
let lines: { msg: string; step?: string }[];
let done: string[];

beforeEach(() => {
  jest.useFakeTimers();
  host = new Process();
  lines = [];
  done = [];
});
afterEach(() => void jest.useRealTimers());

function runs(start: RunOptions['start']): Promise<void> {
  const log = createLog({ name: 'test', level: 'debug', destination: { write: (line) => void lines.push(JSON.parse(line)) } });
  return run({ name: 'writer', log, drainTimeoutMs: 1_000, start, host });
}

const never = (): Promise<void> => new Promise(() => undefined);
const turn = (): Promise<void> => jest.advanceTimersByTimeAsync(0);
const messages = (): string[] => lines.map((line) => line.msg);

describe('a process', () => {
  test('closes last opened first on SIGTERM, tells each step, exits 0 and leaves no timer', async () => {
    const ended = runs(async (life) => {
      life.onDrain('pool', () => void done.push('pool'));
      life.onDrain('consumer', async () => {
        await turn();
        done.push('consumer');
      });
      life.onDrain('intake', () => void done.push('intake'));
    });
    await turn();
    host.emit('SIGTERM');
    await jest.advanceTimersByTimeAsync(1);
    await ended;
    expect(done).toEqual(['intake', 'consumer', 'pool']);
    expect(lines.filter((line) => line.msg === 'drain step done').map((line) => line.step)).toEqual(done);
    expect(host.codes).toEqual([0]);
    expect(jest.getTimerCount()).toBe(0);
  });

  test('aborts its signal at the start of the drain, before any step', async () => {
    let life: Life | undefined;
    const ended = runs(async (given) => {
      life = given;
      life.onDrain('step', () => void done.push(`aborted ${String(given.signal.aborted)}`));
    });
    await turn();
    expect(life?.signal.aborted).toBe(false);
    host.emit('SIGINT');
    await ended;
    expect(done).toEqual(['aborted true']);
  });

  test('a step that fails does not keep the others from closing, but the exit code tells', async () => {
    const ended = runs(async (life) => {
      life.onDrain('pool', () => void done.push('pool'));
      life.onDrain('consumer', () => Promise.reject(new Error('no coordinator')));
    });
    await turn();
    host.emit('SIGTERM');
    await ended;
    expect(done).toEqual(['pool']);
    expect(host.codes).toEqual([1]);
  });

  test('a drain that passes its deadline is forced, and the log names the step', async () => {
    const ended = runs(async (life) => {
      life.onDrain('pool', () => void done.push('pool'));
      life.onDrain('consumer', never);
    });
    await turn();
    host.emit('SIGTERM');
    await jest.advanceTimersByTimeAsync(999);
    expect(host.codes).toEqual([]);
    await jest.advanceTimersByTimeAsync(1);
    await ended;
    expect(host.codes).toEqual([1]);
    expect(lines.at(-1)).toMatchObject({ msg: 'drain deadline passed: forced exit', step: 'consumer', left: ['pool'] });
  });

  test('a second signal exits at once', async () => {
    const ended = runs(async (life) => life.onDrain('consumer', never));
    await turn();
    host.emit('SIGINT');
    await turn();
    expect(host.codes).toEqual([]);
    host.emit('SIGTERM');
    await ended;
    expect(host.codes).toEqual([1]);
  });

  test('a failed start closes what it had opened and exits 1', async () => {
    const ended = runs(async (life) => {
      life.onDrain('pool', () => void done.push('pool'));
      throw new Error('topic has 8 partitions, not 64');
    });
    await ended;
    expect(done).toEqual(['pool']);
    expect(host.codes).toEqual([1]);
    expect(messages()).toContain('writer failed');
  });

  test.each(['uncaughtException', 'unhandledRejection'] as const)('%s drains and exits 1; further ones change nothing', async (event) => {
    const ended = runs(async (life) => life.onDrain('pool', () => void done.push('pool')));
    await turn();
    host.emit(event, new Error('a bug'));
    host.emit(event, new Error('another'));
    await ended;
    expect(done).toEqual(['pool']);
    expect(host.codes).toEqual([1]);
  });

  test('life.fail drains and exits 1, also from the first line of the start', async () => {
    const ended = runs(async (life) => {
      life.fail(new Error('the consumer crashed'));
      life.onDrain('pool', () => void done.push('pool'));
    });
    await ended;
    expect(done).toEqual(['pool']);
    expect(host.codes).toEqual([1]);
  });

  test('told to stop while it starts, it waits for the start to notice and closes that too', async () => {
    const ended = runs(async (life) => {
      life.onDrain('log', () => void done.push('log'));
      await once(life.signal, 'abort');
      life.onDrain('late', () => void done.push('late'));
      life.signal.throwIfAborted();
    });
    await turn();
    host.emit('SIGTERM');
    await ended;
    expect(done).toEqual(['late', 'log']);
    expect(host.codes).toEqual([0]);
  });
});
