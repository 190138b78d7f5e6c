/** `npm start -- --help` is answered before anything is installed, from a file: the file must not fall behind. */
import { expect, test } from '@jest/globals';
import { Command } from 'commander';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

import { startCommand } from './commands/start.ts';
import { addGlobalOptions } from './context.ts';

test('deploy/local/start-help.txt is what `millrace start --help` prints', () => {
  const program = addGlobalOptions(new Command('millrace'));
  startCommand(program);
  const start = program.commands[0]!;
  const file = resolve(import.meta.dirname, '../../../deploy/local/start-help.txt');
  expect(readFileSync(file, 'utf8')).toBe(start.configureHelp({ helpWidth: 80 }).helpInformation());
});
