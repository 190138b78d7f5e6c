import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { LayoutMismatch, layoutOf, saveLayout } from './layout.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'millrace-layout-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

test('new data gets 64 slots, two shards and one broker where nothing else is wished', () => {
  expect(layoutOf(dir, {})).toEqual({ slots: 64, shards: ['a', 'b'], brokers: 1, topicPrefix: '', ports: {} });
});

test('data that is there keeps its layout', () => {
  const made = layoutOf(dir, { slots: 16, shards: 3, brokers: 3 });
  saveLayout(dir, made);
  expect(layoutOf(dir, {})).toEqual(made);
  expect(layoutOf(dir, { shards: 3 })).toEqual(made);
});

test.each([{ slots: 32 }, { shards: 1 }, { brokers: 1 as const }])('data cannot follow another wish: %j', (wish) => {
  saveLayout(dir, layoutOf(dir, { slots: 16, shards: 3, brokers: 3 }));
  expect(() => layoutOf(dir, wish)).toThrow(LayoutMismatch);
});

test('where shards have joined since, another number of shards is refused with those that there are', () => {
  saveLayout(dir, { ...layoutOf(dir, { shards: 2 }), shards: ['a', 'b', 'd'] });
  expect(() => layoutOf(dir, { shards: 2 })).toThrow(/has 3 shards \(a, b, d\), not 2.*millrace ring remove.*--fresh/s);
  expect(layoutOf(dir, { shards: 3 }).shards).toEqual(['a', 'b', 'd']);
});
