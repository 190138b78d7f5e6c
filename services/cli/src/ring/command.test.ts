import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Command } from 'commander';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { addGlobalOptions } from '../context.ts';
import { ringCommand } from './command.ts';
import { startFakeRing, TOKEN, type FakeRing } from './testing/fake-ring.ts';

// A worker of jest has a channel to its parent, which is not the one that the command listens to.
Object.defineProperty(process, 'channel', { value: undefined });

let dir: string;
let ring: FakeRing;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'millrace-ring-'));
  ring = await startFakeRing(['a', 'b']);
  writeFileSync(join(dir, 'token'), `${TOKEN}\n`);
  const nothing = { gateway: '', apiKey: '', tenant: '', kafka: [], control: '', controlPid: null, slots: 64, topicPrefix: '', shards: [], services: [], brokers: [], processes: [] };
  const file = { ...nothing, admin: ring.url, sagas: ring.url, local: ring.url, adminToken: TOKEN, supervisor: { pid: 1, startTicks: 1 } };
  writeFileSync(join(dir, 'cluster.json'), JSON.stringify(file));
});
afterEach(async () => {
  await ring.close();
  rmSync(dir, { recursive: true });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.removeAllListeners(signal);
  process.exitCode = 0;
});

interface Ran {
  readonly out: string;
  readonly error: string;
  readonly exitCode: number;
}

/** The command as a user runs it. */
async function millrace(...args: readonly string[]): Promise<Ran> {
  const program = addGlobalOptions(new Command('millrace')).exitOverride();
  ringCommand(program);
  let [out, error] = ['', ''];
  const collect = (command: Command): void => {
    command.exitOverride().configureOutput({ writeOut: (text) => (out += text), writeErr: (text) => (error += text) });
    command.commands.forEach(collect);
  };
  collect(program);
  const write = process.stdout.write;
  process.stdout.write = (text: string | Uint8Array) => ((out += String(text)), true);
  process.exitCode = 0;
  try {
    await program.parseAsync(['node', 'millrace', 'ring', ...args]);
  } catch (thrown) {
    error += thrown instanceof Error ? thrown.message : String(thrown);
    process.exitCode = 1;
  } finally {
    process.stdout.write = write;
  }
  return { out, error, exitCode: Number(process.exitCode) };
}

const local = (...args: readonly string[]): Promise<Ran> => millrace(...args, '--cluster', dir);
const remote = (...args: readonly string[]): Promise<Ran> => millrace(...args, '--admin', ring.url, '--admin-token-file', join(dir, 'token'));
const members = (): readonly string[] => ring.members.map(({ shard, state, weight }) => `${shard} ${state} ${weight}`);

describe('on the local cluster', () => {
  test('add without a name starts a Postgres for the next free letter, lets it join, waits, and tells the stall', async () => {
    const { out, exitCode } = await local('add', '--weight', '2');
    expect(members()).toEqual(['a active 1', 'b active 1', 'c active 2']);
    expect(ring.postgres).toEqual(['a', 'b', 'c']);
    expect(out).toContain('starting a Postgres for shard c');
    expect(out).toMatch(/plan 1 is done\n2 slots moved: 200 rows.*\napply stall of a slot: p50 10 ms, p99 20 ms, max 20 ms\nshard c is active and owns 2 slots\n$/);
    expect(exitCode).toBe(0);
  });

  test('add of a shard that a plan is letting join waits for that plan, and makes no other', async () => {
    ring.held = true;
    await local('add', 'c', '--detach');
    ring.held = false;
    expect(await local('add', 'c')).toMatchObject({ exitCode: 0, out: expect.stringMatching(/plan 1 is done.*shard c is active/s) });
    expect(ring.plans).toHaveLength(1);
  });

  test('a plan that ends aborted tells which shards are neither in nor out, and how to go on or back', async () => {
    ring.turned = true;
    expect((await local('add', 'c')).out).toMatch(/plan 1 is aborted.*\nshard c is still joining: millrace ring add c .* ring remove c /s);
    const { out, exitCode } = await local('drain', 'b');
    expect(out).toMatch(/\nshard b is still draining: millrace ring drain b .* ring add b /);
    expect(exitCode).toBe(1);
  });

  test('preview of a shard without a Postgres says how it gets one', async () => {
    expect((await local('preview', '--add', 'c')).out).toMatch(/plan 1 \(preview.*millrace ring add starts one/s);
    expect(ring.postgres).toEqual(['a', 'b']);
  });

  test('add takes up a shard whose Postgres runs and that never became a member', async () => {
    ring.postgres.push('x');
    await local('add');
    expect([members().at(-1), ring.postgres]).toEqual(['x active 1', ['a', 'b', 'x']]);
  });

  test('remove empties the shard, takes it out and stops its Postgres', async () => {
    const { out, exitCode } = await local('remove', 'b');
    expect([members(), ring.postgres, exitCode]).toEqual([['a active 1'], ['a'], 0]);
    expect(out).toMatch(/shard b is no member any more\nits Postgres has stopped, its data is deleted\n$/);
  });

  test('remove that was broken off is finished by the same command', async () => {
    ring.members.splice(1, 1);
    const { out } = await local('remove', 'b');
    expect(ring.postgres).toEqual(['a']);
    expect(out).toContain('shard b was no member');
    expect(await local('remove', 'b')).toMatchObject({ exitCode: 1, error: expect.stringContaining('There is no shard b') });
  });

  test('remove with --detach leaves the shard to be taken out later, and says how', async () => {
    ring.held = true;
    const { out, exitCode } = await local('remove', 'b', '--detach');
    expect(out).toMatch(/plan 1 goes on by itself:.*status --watch.*pause 1.*abort 1.*millrace ring remove b/s);
    expect([members(), exitCode]).toEqual([['a active 1', 'b draining 1'], 0]);
    ring.held = false;
    expect((await local('remove', 'b')).exitCode).toBe(0);
    expect([ring.plans.length, members()]).toEqual([1, ['a active 1']]);
  });

  test('a start or a removal whose answer is lost is not done twice', async () => {
    ring.lossy = true;
    expect((await local('add', 'c')).exitCode).toBe(0);
    await local('drain', 'c');
    ring.lossy = true;
    expect((await local('remove', 'c')).exitCode).toBe(0);
    expect([members(), ring.postgres, ring.plans.length]).toEqual([['a active 1', 'b active 1'], ['a', 'b'], 2]);
  });

  test('with --json the result is one document, and nothing else is printed', async () => {
    const { out } = await local('add', 'c', '--json');
    expect(JSON.parse(out)).toMatchObject({ plan: { id: '1', state: 'done' }, summary: { slots_moved: 2, stall_ms: { p99: 20 } }, shard: { shard: 'c', slots: 2 } });
  });
});

describe('on another cluster', () => {
  test('add names its shard, and starts nothing', async () => {
    expect(await remote('add')).toMatchObject({ exitCode: 1, error: expect.stringMatching(/Name the shard.*SHARDS_FILE/s) });
    expect((await remote('add', 'c')).exitCode).toBe(0);
    expect(ring.postgres).toEqual(['a', 'b']);
  });

  test('a refusal is told with its title, its detail and what to do', async () => {
    expect((await remote('drain', 'nobody')).error).toBe('Refused: unknown_shard: the fake says so\n  What to do: Do otherwise.');
  });

  test('a shard without an address is refused with what to do first', async () => {
    ring.unknown = true;
    expect((await remote('add', 'c')).error).toMatch(/unknown_shard.*does not run on this machine.*SHARDS_FILE/s);
  });

  test('a wrong token, a silent server and an answer of something else are told as they are', async () => {
    writeFileSync(join(dir, 'token'), 'mra_wrong');
    expect((await remote('drain', 'a')).error).toMatch(/unauthorized/);
    expect((await millrace('status', '--admin', ring.url)).error).toMatch(/--admin-token-file/);
    expect((await millrace('status', '--admin', ring.url, '--admin-token-file', join(dir, 'none'))).error).toMatch(/cannot be read/);
    expect((await millrace('status', '--admin', 'http://127.0.0.1:1', '--admin-token-file', join(dir, 'token'))).error).toMatch(/does not answer/);
    ring.fail = { times: 1, status: 200, body: { hello: 'world' } };
    expect((await remote('history', '--plans')).error).toMatch(/as another version would/);
  });
});

test('pause takes the one plan that is under way, and asks which where there are several', async () => {
  expect((await local('pause')).error).toMatch(/No plan is under way/);
  ring.held = true;
  await local('drain', 'b', '--detach');
  await local('add', 'c', '--detach');
  expect((await local('pause')).error).toMatch(/name one of 2, 1/);
  expect((await local('pause', '2')).out).toContain('plan 2 (paused, by slots): 0/2 slots have moved');
});

test('preview changes nothing and tells how to start it', async () => {
  const { out } = await remote('preview', '--add', 'c=2', '--add', 'd', '--drain', 'a', '--by', 'bytes');
  expect(out).toMatch(/plan 1 \(preview.*millrace ring start 1 {3}starts it/s);
  expect(members()).toEqual(['a active 1', 'b active 1']);
  expect((await local('start', '1')).exitCode).toBe(0);
  expect(members()).toEqual(['a draining 1', 'b active 1', 'c active 2', 'd active 1']);
});

test('an active member is not added again', async () => {
  expect(await local('add', 'a')).toMatchObject({ exitCode: 1, error: expect.stringContaining('millrace ring weight a WEIGHT') });
  expect(ring.plans).toEqual([]);
});

test('a shard that is no member has no weight to change', async () => {
  expect((await local('weight', 'c', '2')).error).toMatch(/millrace ring add c --weight 2/);
  expect((await local('weight', 'b', '2')).exitCode).toBe(0);
  expect(members()).toEqual(['a active 1', 'b active 2']);
});

test.each([
  [['add', 'C'], /shard id/],
  [['add', 'c', '--weight', '0'], /weight above 0/],
  [['add', 'c', '--weight', '1e3'], /weight above 0/],
  [['add', 'c', '--weight', '1001'], /weight above 0/],
  [['add', 'c', '--by', 'luck'], /slots, bytes, rate/],
  [['add', 'c', 'd'], /too many arguments/],
  [['weight', 'a'], /missing required argument/],
  [['weight', 'a', 'heavy'], /weight above 0/],
  [['drain'], /missing required argument/],
  [['move', '4096', 'a'], /0 to 4095/],
  [['move', '-1', 'a'], /unknown option|0 to 4095/],
  [['move', '1', 'A'], /shard id/],
  [['pause', 'x'], /number such as 12/],
  [['abort', '1', '--move', '2'], /not both/],
  [['verify', '0'], /number such as 12/],
  [['start'], /Name one plan/],
  [['start', '1', '--reverse', '2'], /Name one plan/],
  [['preview', '--reverse', '1', '--add', 'c'], /takes no --add/],
  [['preview', '--add', 'c', '--drain', 'c'], /named twice/],
  [['preview', '--add', 'c=2=3'], /SHARD=WEIGHT/],
  [['preview', '--weight', 'c'], /SHARD=WEIGHT/],
  [['history', '--limit', '0'], /1 to 1000/],
  [['history', '--plans', '--audit'], /cannot be used with/],
  [['status', '--admin', 'ring-manager:8081'], /such as http/],
] as const)('refuses %j and asks nobody', async (args, reason) => {
  const { error, exitCode } = await local(...args);
  expect(error).toMatch(reason);
  expect([exitCode, ring.plans, members()]).toEqual([1, [], ['a active 1', 'b active 1']]);
});

test('every command has a help that says what it is for', async () => {
  const commands = ['status', 'preview', 'start', 'add', 'weight', 'drain', 'remove', 'move', 'pause', 'resume', 'abort', 'verify', 'history'];
  for (const command of commands) {
    const { out } = await millrace(command, '--help');
    expect(out).toMatch(new RegExp(`Usage: millrace ring ${command} .*\\n\\n.{20,}`));
  }
  expect((await millrace('--help')).out).toMatch(/A slot is a part of all keys/);
});
