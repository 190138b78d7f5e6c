/** `millrace status`: who runs, who owns what, how far it is, and how fast it goes. */
import { sleep } from '@millrace/runtime';
import type { Command } from 'commander';

import { connected, type Connections } from '../connect.ts';
import { contextOf } from '../context.ts';
import { count } from '../output.ts';
import { standingOf, totalsOf, type ShardStanding, type Totals } from '../standing.ts';
import { listenForStop } from '../stop-signal.ts';
import type { Target } from '../target.ts';

interface StatusOptions {
  readonly watch?: boolean;
  readonly slots?: boolean;
}

/** Between the two looks that give the rates. */
const RATE_MS = 1_000;
const CLEAR_SCREEN = '\u001b[H\u001b[2J';

interface Status {
  readonly epoch: number;
  readonly slots: number;
  readonly totals: Totals & Rates;
  readonly shards: readonly (ShardStanding & Rates & { readonly totals: Totals })[];
  readonly services: readonly { readonly name: string; readonly pid: number | null }[];
}

interface Rates {
  readonly ackedPerSecond: number;
  readonly appliedPerSecond: number;
}

export function statusCommand(program: Command): void {
  program
    .command('status')
    .description('services, slots, positions, lag in records and seconds, rates, parked keys')
    .option('--watch', 'look again and again')
    .option('--slots', 'a line for each slot')
    .action(async (options: StatusOptions, command: Command) => {
      const { output, target: find, isJson } = contextOf(command);
      const { signal } = listenForStop(() => undefined);
      await connected(find(), async (connections) => {
        do {
          const status = await look(find(), connections, signal); // pids change where a process was started again
          const clear = options.watch === true && !isJson && process.stdout.isTTY ? CLEAR_SCREEN : '';
          output.result(`${clear}${format(status, options.slots ?? false)}`, status);
        } while (options.watch === true && !signal.aborted);
      }).catch((error: unknown) => {
        if (!signal.aborted) throw error;
      });
    });
}

async function look(target: Target, connections: Connections, signal: AbortSignal): Promise<Status> {
  const { epoch, slots } = await connections.topology();
  const sinceMs = performance.now();
  const before = await standingOf(connections);
  await sleep(RATE_MS, signal);
  const after = await standingOf(connections);
  const seconds = (performance.now() - sinceMs) / 1000;
  const shards = after.map((shard) => {
    const totals = totalsOf(shard.slots);
    const earlier = totalsOf(before.find((one) => one.shard === shard.shard)?.slots ?? shard.slots);
    return { ...shard, totals, ...ratesOf(earlier, totals, seconds) };
  });
  const totals = totalsOf(after.flatMap((shard) => shard.slots));
  const earlier = totalsOf(before.flatMap((shard) => shard.slots));
  const services = (target.local?.services ?? []).map(({ name, pid }) => ({ name, pid }));
  return { epoch, slots, totals: { ...totals, ...ratesOf(earlier, totals, seconds) }, shards, services };
}

function ratesOf(before: Totals, after: Totals, seconds: number): Rates {
  const rate = (from: bigint, to: bigint): number => Math.max(0, Math.round(Number(to - from) / seconds));
  return { ackedPerSecond: rate(before.end, after.end), appliedPerSecond: rate(before.applied, after.applied) };
}

function format({ epoch, slots, totals, shards, services }: Status, withSlots: boolean): string {
  const rows = shards.map((shard) =>
    shard.problem === undefined
      ? [shard.shard, count(shard.slots.length), ...figures(shard.totals, shard), count(shard.parkedKeys)]
      : [shard.shard, 'does not answer:', shard.problem],
  );
  return [
    `epoch ${epoch}, ${slots} slots`,
    ...services.map(({ name, pid }) => `  ${name.padEnd(20)} ${pid === null ? 'down' : `pid ${pid}`}`),
    ...table([
      ['shard', 'slots', 'log end', 'applied', 'lag', 'lag s', 'acked/s', 'applied/s', 'parked keys'],
      ...rows,
      ['all', count(slots), ...figures(totals, totals), ''],
    ]),
    ...(withSlots ? slotLines(shards) : []),
  ].join('\n');
}

function figures(totals: Totals, rates: Rates): string[] {
  const { end, applied, lagRecords, lagSeconds } = totals;
  return [count(end), count(applied), count(lagRecords), lagSeconds.toFixed(1), count(rates.ackedPerSecond), count(rates.appliedPerSecond)];
}

function slotLines(shards: readonly ShardStanding[]): readonly string[] {
  const all = shards.flatMap((shard) => shard.slots).toSorted((a, b) => a.slot - b.slot);
  return table([
    ['slot', 'shard', 'state', 'log end', 'position', 'relayed', 'lag', 'lag s'],
    ...all.map((slot) => [
      String(slot.slot),
      slot.shard,
      slot.state,
      count(slot.end),
      count(slot.position),
      count(slot.relayed),
      count(slot.lagRecords),
      slot.lagSeconds.toFixed(1),
    ]),
  ]);
}

/** Columns to the right, but for the first. */
function table(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row.length === rows[0]?.length ? (row[column]?.length ?? 0) : 0))));
  return rows.map((row) => `  ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0))).join('  ')}`.trimEnd());
}
