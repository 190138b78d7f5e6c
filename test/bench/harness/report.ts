/** Results as a table for people and as JSON for programs. */
import type { Finding, Report } from './bench.ts';
import type { Machine } from './machine.ts';
import { summaryOf } from './rounds.ts';

export interface Run {
  readonly startedAt: string;
  readonly command: string;
  readonly machine: Machine;
  readonly reports: readonly Report[];
}

export function markdown({ startedAt, command, machine, reports }: Run): string {
  const { processor, cores, memoryGiB, kernel, node, java, postgres, kafka } = machine;
  return [
    `Measured ${startedAt} by \`${command}\`.\n`,
    `Machine: ${processor}, ${cores} cores shared by load generator, broker, databases and services, ${memoryGiB} GiB, Linux ${kernel}; Node ${node}, Java ${java}, Postgres ${postgres}, Kafka ${kafka}.\n`,
    'Sides take turns in every round; figures are medians over rounds (lowest to highest), ratios are medians of the ratios within a round.\n',
    ...reports.map(section),
  ].join('\n');
}

function section({ title, method, columns, results, findings }: Report): string {
  const head = ['side', ...columns.map((column) => column.title)];
  const rows = results.map(({ name }) => [name, ...columns.map(({ metric }) => cell(summaryOf(results, name, metric)))]);
  return `## ${title}\n\n${method}\n\n${table(head, rows)}\n${goals(findings)}`;
}

function goals(findings: readonly Finding[]): string {
  const rows = findings.map(({ what, goal, reached, met }) => [what, goal, reached, met ? 'yes' : '**no**']);
  return findings.length === 0 ? '' : `${table(['goal', 'at least / at most', 'reached', 'met'], rows)}\n`;
}

function cell(summary: { median: number; min: number; max: number } | undefined): string {
  if (summary === undefined) return '';
  const { median, min, max } = summary;
  return min === max ? number(median) : `${number(median)} (${number(min)} to ${number(max)})`;
}

function number(value: number): string {
  return value >= 1000 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(3)));
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |\n`;
  return line(head) + line(head.map(() => '---')) + rows.map(line).join('');
}
