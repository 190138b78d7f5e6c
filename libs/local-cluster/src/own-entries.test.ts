import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { startLocalCluster } from './cluster.ts';
import { layoutOf, saveLayout } from './layout.ts';
import { rotateLogs } from './logs.ts';
import { DirectoryNotACluster, refuseOthersFiles, removeOwnEntries } from './own-entries.ts';
import { secretsOf, writeKeyFiles } from './secrets.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'millrace-own-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

const put = (...names: readonly string[]): void => names.forEach((name) => writeFileSync(join(dir, name), '{}'));
const make = (...names: readonly string[]): void => names.forEach((name) => mkdirSync(join(dir, name, 'below'), { recursive: true }));
const left = (): readonly string[] => readdirSync(dir).sort();

test('a fresh start in a directory with the files of others is refused and changes nothing', async () => {
  make('src', 'config');
  put('package.json');
  const before = left();
  await expect(startLocalCluster({ dir, fresh: true })).rejects.toThrow(DirectoryNotACluster);
  await expect(startLocalCluster({ dir, fresh: true })).rejects.toThrow(/package\.json.*--cluster DIR/s);
  expect(left()).toEqual(before);
});

test('a start in a directory with the files of others, and no cluster, is refused and changes nothing', async () => {
  put('package.json', 'secrets.json');
  await expect(startLocalCluster({ dir })).rejects.toThrow(/not empty.*package\.json.*--cluster DIR/s);
  expect(left()).toEqual(['package.json', 'secrets.json']);
});

test("another program's layout.json does not make a directory a cluster's", () => {
  put('layout.json', 'index.html');
  expect(() => refuseOthersFiles(dir, true)).toThrow(DirectoryNotACluster);
});

test('what a cluster makes is removed, and what others put beside it stays', () => {
  saveLayout(dir, layoutOf(dir, {}));
  writeKeyFiles(join(dir, 'config'), secretsOf(dir, ['control']));
  rotateLogs(join(dir, 'logs'));
  make('kafka', 'postgres', 'bench');
  put('lock', 'cluster.json', 'layout.json.17.part', 'notes.txt');
  for (const fresh of [true, false]) refuseOthersFiles(dir, fresh); // notes beside a cluster are nobody's concern
  removeOwnEntries(dir);
  expect(left()).toEqual(['bench', 'lock', 'notes.txt']);
});

test.each([[[]], [['lock', 'layout.json.17.part']], [['logs', 'config', 'secrets.json']], [['bench']], [['layout.json', 'kafka']]])(
  'without a layout, what a start may have left can be begun anew: %j',
  (names) => {
    put(...names);
    for (const fresh of [true, false]) expect(() => refuseOthersFiles(dir, fresh)).not.toThrow();
  },
);
