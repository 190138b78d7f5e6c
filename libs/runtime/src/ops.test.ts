import { connect } from 'node:net';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createLog } from './log.ts';
import { createRegistry } from './metrics.ts';
import { startOpsServer } from './ops.ts';
import type { Health, OpsServer } from './ops.ts';

const ok: Health = { live: [{ name: 'lanes', ok: true }], ready: [{ name: 'kafka', ok: true }] };
let health: () => Health;
let ops: OpsServer;

beforeEach(async () => {
  health = () => ok;
  const log = createLog({ name: 'test', level: 'silent' });
  ops = await startOpsServer({ host: '127.0.0.1', port: 0, registry: createRegistry(), health: () => health(), log });
});
afterEach(() => ops.close());

describe('the ops port', () => {
  test('says live and ready apart', async () => {
    health = () => ({ live: ok.live, ready: [{ name: 'kafka', ok: false, detail: 'no leader' }, { name: 'control', ok: true }] });
    expect((await fetch(`${ops.url}/healthz`)).status).toBe(200);
    const ready = await fetch(`${ops.url}/readyz`);
    expect(ready.status).toBe(503);
    expect(await ready.json()).toEqual({
      status: 'failing',
      checks: [{ name: 'kafka', ok: false, detail: 'no leader' }, { name: 'control', ok: true }],
    });
  });

  test('shows the metrics, the event loop among them', async () => {
    const text = await (await fetch(`${ops.url}/metrics`)).text();
    expect(text).toContain('nodejs_eventloop_lag_p99_seconds');
    expect(text).toMatch(/millrace_event_loop_utilization_ratio \d/);
  });

  test('a health that throws is a 500, not the end of the process', async () => {
    health = () => {
      throw new Error('a bug');
    };
    expect((await fetch(`${ops.url}/healthz`)).status).toBe(500);
    health = () => ok;
    expect((await fetch(`${ops.url}/healthz?full`)).status).toBe(200);
  });

  test('refuses other paths and methods', async () => {
    expect((await fetch(`${ops.url}/metrics/x`)).status).toBe(404);
    const post = await fetch(`${ops.url}/healthz`, { method: 'POST', body: 'x' });
    expect([post.status, post.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
    const head = await fetch(`${ops.url}/readyz`, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
  });

  test('closes at once, also with a connection that says nothing', async () => {
    const silent = connect(ops.port, '127.0.0.1');
    await once(silent, 'connect');
    silent.resume();
    const closed = once(silent, 'close');
    await (await fetch(`${ops.url}/healthz`)).text();
    await ops.close();
    await closed;
    ops = { ...ops, close: () => Promise.resolve() };
  });

  test('a port that is taken is an error', async () => {
    const log = createLog({ name: 'test', level: 'silent' });
    const second = startOpsServer({ host: '127.0.0.1', port: ops.port, registry: createRegistry(), health: () => ok, log });
    await expect(second).rejects.toThrow('EADDRINUSE');
  });
});
