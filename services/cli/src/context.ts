/** What every command gets: the global options, resolved. */
import { InvalidArgumentError, Option, type Command } from 'commander';

import { configOf } from './config.ts';
import { createOutput, type Output } from './output.ts';
import { findTarget, type Target } from './target.ts';

export interface Context {
  readonly output: Output;
  /** As given with --cluster. */
  readonly clusterDir: string | undefined;
  readonly isJson: boolean;
  /** @throws UsageError where there is no cluster. */
  target(): Target;
}

interface GlobalOptions {
  readonly json?: boolean;
  readonly cluster?: string;
}

export function addGlobalOptions(program: Command): Command {
  return program
    .addOption(new Option('--json', 'print JSON instead of text'))
    .addOption(new Option('--cluster <dir>', 'the directory of a local cluster (default: the nearest .millrace)'));
}

export function contextOf(command: Command): Context {
  const { json = false, cluster } = command.optsWithGlobals<GlobalOptions>();
  return {
    output: createOutput({ json }),
    clusterDir: cluster,
    isJson: json,
    target: () => findTarget(cluster, configOf(process.env)),
  };
}

/** For commander: a whole number within a range. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d{1,12}$/.test(text) || value < min || value > max) {
      throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`);
    }
    return value;
  };
}
