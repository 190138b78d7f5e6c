import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { runScenario } from './testing/scenario.ts';

const DIR = new URL('../scenarios/', import.meta.url);

describe('scenario', () => {
  // The difference shows what the ring does now; see testing/scenario.ts for the commands.
  test.each(readdirSync(DIR))('%s', (file) => {
    const written = readFileSync(new URL(file, DIR), 'utf8');
    expect(runScenario(written)).toBe(written);
  });
});
