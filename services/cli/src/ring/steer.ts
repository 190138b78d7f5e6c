/** `millrace ring pause`, `resume` and `abort`: of a plan, or of one move. */
import type { Command } from 'commander';

import { UsageError } from '../usage-error.ts';
import type { AdminClient, Steer } from './admin-client.ts';
import { isOver } from './admin-schema.ts';
import { numberOf } from './arguments.ts';
import { planName } from './plan-view.ts';
import { ringContextOf } from './ring-context.ts';

const COMMANDS: readonly { readonly how: Steer; readonly description: string; readonly help: string }[] = [
  {
    how: 'pause',
    description: 'hold a plan: what is copied stays, no slot is fenced until resume',
    help: 'Writes go on as before. A move past its fence is finished first.',
  },
  { how: 'resume', description: 'let a paused plan go on', help: 'It goes on from what is copied already.' },
  {
    how: 'abort',
    description: 'turn back what has not moved yet',
    help: "Slots that have moved stay where they are: 'millrace ring start --reverse PLAN' takes them back. No write is lost.",
  },
];

export function steerCommands(ring: Command): void {
  for (const { how, description, help } of COMMANDS) {
    ring
      .command(how)
      .description(description)
      .argument('[plan]', 'its number (default: the one that is under way)', numberOf)
      .option('--move <move>', 'one move instead of a plan', numberOf)
      .addHelpText('after', `\n${help}`)
      .action(async (plan: string | undefined, { move }: { readonly move?: string }, command: Command) => {
        if (plan !== undefined && move !== undefined) throw new UsageError('Name a plan or a move, not both.');
        const { admin, output } = ringContextOf(command);
        if (move !== undefined) {
          const steered = await admin.steerMove(move, how);
          output.result(`move ${steered.id} of slot ${steered.slot} is ${steered.paused ? 'paused' : steered.state}`, steered);
          return;
        }
        const steered = await admin.steerPlan(plan ?? (await onlyOpenPlan(admin)), how);
        output.result(`${planName(steered)}: ${steered.progress.done}/${steered.progress.moves} slots have moved`, steered);
      });
  }
}

async function onlyOpenPlan(admin: AdminClient): Promise<string> {
  const open = (await admin.plans()).filter((plan) => !isOver(plan) && plan.state !== 'preview');
  const [only, ...others] = open;
  if (only === undefined) throw new UsageError('No plan is under way: see `millrace ring status`.');
  if (others.length > 0) throw new UsageError(`Several plans are under way: name one of ${open.map(({ id }) => id).join(', ')}.`);
  return only.id;
}
