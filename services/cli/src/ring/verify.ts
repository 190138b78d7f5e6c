/** `millrace ring verify`: compares every row of a move on both shards, now. */
import type { Command } from 'commander';

import { count } from '../output.ts';
import { UsageError } from '../usage-error.ts';
import type { Move, Verified } from './admin-schema.ts';
import { isProblem } from '../api/api-error.ts';
import { numberOf } from './arguments.ts';
import { plural } from './figures.ts';
import { ringContextOf, type RingContext } from './ring-context.ts';

const HELP = `
Every move compares both shards by itself before it activates; this looks at every row once more, while the move is open.
For the whole cluster, moves or not: millrace verify.`;

export function verifyMoveCommand(ring: Command): void {
  ring
    .command('verify')
    .description('compare every copied row of a move on both shards; exit 0 only if they agree')
    .argument('[move...]', 'numbers of moves (default: all that are open)', (text: string, before: readonly string[] | undefined) => [...(before ?? []), numberOf(text)])
    .addHelpText('after', HELP)
    .action(async (named: readonly string[], _options: unknown, command: Command) => {
      const context = ringContextOf(command);
      const compared = await compareAll(context, named);
      const text = compared.length === 0 ? 'every move was over before it could be compared' : compared.map(({ move, result }) => verifiedText(move, result)).join('\n');
      context.output.result(text, compared);
      if (compared.length === 0 || !compared.every(({ result }) => result.verified)) process.exitCode = 1;
    });
}

interface Compared {
  readonly move: Move;
  readonly result: Verified;
}

/** One after the other: a compare reads every row twice. */
async function compareAll({ admin, output }: RingContext, named: readonly string[]): Promise<readonly Compared[]> {
  const moves = named.length > 0 ? await Promise.all(named.map((id) => admin.move(id))) : (await admin.moves({ open: true })).filter(({ state }) => state === 'running');
  if (moves.length === 0) throw new UsageError('No slot is moving now. For the whole cluster: millrace verify.');
  const compared: Compared[] = [];
  for (const move of moves) {
    output.live(`comparing slot ${move.slot} on ${move.source} and ${move.target}`);
    const result = await admin.verifyMove(move.id).catch((error: unknown) => {
      if (named.length === 0 && isProblem(error, 'move_state')) return undefined; // over meanwhile, and nobody asked for it
      throw error;
    });
    if (result !== undefined) compared.push({ move, result });
  }
  return compared;
}

export function verifiedText({ id, slot, source, target }: Move, { verified, note, tables }: Verified): string {
  const rows = tables.reduce((sum, one) => sum + one.rows, 0);
  const differences = tables.flatMap((one) => one.differences.map(({ key, on }) => `  ${one.table} ${key.join(' ')}: ${placeText(on, { source, target })}`));
  return [
    `move ${id}, slot ${slot}: ${count(rows)} rows in ${plural(tables.length, 'table')} ${verified ? 'agree' : 'DO NOT AGREE'} on ${source} and ${target}`,
    ...differences,
    ...(note === undefined ? [] : [`  ${note}`]),
  ].join('\n');
}

function placeText(on: 'source' | 'target' | 'both', { source, target }: { readonly source: string; readonly target: string }): string {
  switch (on) {
    case 'source':
      return `only on ${source}`;
    case 'target':
      return `only on ${target}`;
    case 'both':
      return 'on both, not equal';
  }
}
