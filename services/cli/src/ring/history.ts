/** `millrace ring history`: epochs, plans, and who did what. */
import { toJson } from '@millrace/wire';
import { Option, type Command } from 'commander';

import { wholeNumber } from '../context.ts';
import type { AuditEntry, EpochEntry, PlanSummary } from './admin-schema.ts';
import { planName } from './plan-view.ts';
import { ringContextOf } from './ring-context.ts';
import { table } from '../table.ts';

interface HistoryOptions {
  readonly limit: number;
  readonly plans?: boolean;
  readonly audit?: boolean;
}

const LIMIT = 20;
const LIMIT_MAX = 1_000;

export function historyCommand(ring: Command): void {
  ring
    .command('history')
    .description('the epochs of the topology: when, who, why; newest first')
    .option('--limit <n>', 'how many at most', wholeNumber(1, LIMIT_MAX), LIMIT)
    .addOption(new Option('--plans', 'the plans instead, with their numbers').conflicts('audit'))
    .addOption(new Option('--audit', 'everything that was asked for or done instead'))
    .action(async ({ limit, plans, audit }: HistoryOptions, command: Command) => {
      const { admin, output } = ringContextOf(command);
      if (plans === true) {
        const found = await admin.plans(limit);
        return output.result(found.length === 0 ? 'there were no plans' : found.map(planLine).join('\n'), found);
      }
      if (audit === true) {
        const found = await admin.audit(limit);
        return output.result(found.map(auditLine).join('\n'), found);
      }
      const found = await admin.epochs(limit);
      return output.result(epochLines(found).join('\n'), found);
    });
}

function epochLines(epochs: readonly EpochEntry[]): readonly string[] {
  return table([['epoch', 'when', 'who', 'why'], ...epochs.map(({ epoch, created_at, created_by, reason }) => [String(epoch), ` ${created_at}`, created_by, reason])]);
}

function planLine(plan: PlanSummary): string {
  const { progress, created_at, ended_at } = plan;
  return `${planName(plan)}: ${progress.done}/${progress.moves} slots moved, made ${created_at}${ended_at === undefined ? '' : `, ended ${ended_at}`}`;
}

function auditLine({ at, actor, action, subject, detail }: AuditEntry): string {
  return `${at}  ${actor}  ${action}  ${subject}${detail === undefined ? '' : `  ${toJson(detail)}`}`;
}
