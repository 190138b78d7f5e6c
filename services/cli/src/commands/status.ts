/** `millrace status`: who runs, who owns what, how far it is, and how fast it goes. */
import { sleep } from '@millrace/runtime';
import type { Stream } from '@millrace/write';
import type { Command } from 'commander';

import { connected, type Connections } from '../connect.ts';
import { contextOf } from '../context.ts';
import { count } from '../output.ts';
import { standingOf, totalsOf, type OpenSagas, type ShardStanding, type SlotStanding, type Totals } from '../standing.ts';
import { listenForStop } from '../stop-signal.ts';
import type { Target } from '../target.ts';

interface StatusOptions {
  readonly watch?: boolean;
  readonly slots?: boolean;
}

/** Between the two looks that give the rates. */
const RATE_MS = 1_000;
const CLEAR_SCREEN = '\u001b[H\u001b[2J';

export interface Status {
  readonly epoch: number;
  readonly slots: number;
  readonly totals: Totals & Rates;
  /** Of stream `sagas`. */
  readonly sagas: Totals & Rates;
  readonly open: OpenSagas;
  /** Slots that no shard which answered holds. */
  readonly unheld: number;
  readonly shards: readonly ShardStatus[];
  readonly services: readonly { readonly name: string; readonly pid: number | null }[];
}

export type ShardStatus = Omit<ShardStanding, 'sagas'> & Rates & { readonly totals: Totals; readonly sagas: Totals & Rates & { readonly slots: readonly SlotStanding[] } };

export interface Rates {
  readonly ackedPerSecond: number;
  readonly appliedPerSecond: number;
}

export function statusCommand(program: Command): void {
  program
    .command('status')
    .description('services, slots and their moves, positions of both streams, lag in records and seconds, rates, open sagas, parked keys')
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
  const rates = (of: readonly SlotStanding[]): Rates => ratesOf(before.slots, of, seconds);
  const sagas = (of: readonly SlotStanding[]): Totals & Rates => ({ ...totalsOf(of), ...ratesOf(before.sagas, of, seconds) });
  const shards = after.shards.map((shard) => ({ ...shard, totals: totalsOf(shard.slots), ...rates(shard.slots), sagas: { slots: shard.sagas, ...sagas(shard.sagas) } }));
  const services = (target.local?.services ?? []).map(({ name, pid }) => ({ name, pid }));
  const totals = { ...totalsOf(after.slots), ...rates(after.slots) };
  return { epoch, slots, totals, sagas: sagas(after.sagas), open: after.open, unheld: after.unheld, shards, services };
}

/** Slot by slot, wherever it was before: a slot that came brings its past along, which nobody did in that time. */
export function ratesOf(before: readonly SlotStanding[], after: readonly SlotStanding[], seconds: number): Rates {
  const earlier = new Map(before.map((one) => [one.slot, one]));
  const rate = (of: (slot: SlotStanding) => bigint): number => {
    const done = after.reduce((sum, slot) => sum + of(slot) - of(earlier.get(slot.slot) ?? slot), 0n);
    return Math.max(0, Math.round(Number(done) / seconds));
  };
  return { ackedPerSecond: rate(({ end }) => end), appliedPerSecond: rate(({ position }) => position) };
}

export function format(status: Status, withSlots: boolean): string {
  const { epoch, slots, totals, unheld, shards, services } = status;
  const rows = shards.map((shard) =>
    shard.problem === undefined
      ? [shard.shard, count(shard.slots.length), count(shard.states.MOVING), count(shard.states.INCOMING), ...figures(shard.totals, shard), count(shard.parkedKeys)]
      : [shard.shard, 'does not answer:', shard.problem],
  );
  return [
    `epoch ${epoch}, ${slots} slots`,
    ...services.map(({ name, pid }) => `  ${name.padEnd(20)} ${pid === null ? 'down' : `pid ${pid}`}`),
    ...table([
      ['shard', 'slots', 'moving', 'incoming', 'log end', 'applied', 'lag', 'lag s', 'acked/s', 'applied/s', 'parked keys'],
      ...rows,
      ['all', count(slots - unheld), ...(['MOVING', 'INCOMING'] as const).map((state) => count(sum(shards, state))), ...figures(totals, totals), ''],
    ]),
    ...sagaLines(status),
    ...(unheld === 0 ? [] : [`${count(unheld)} slots are held by no shard that answered: they are between fence and activation of a move, or their shard is down`]),
    ...(withSlots ? slotLines(shards) : []),
  ].join('\n');
}

/** Stream `sagas`, shard by shard. */
function sagaLines({ shards, sagas, open }: Status): readonly string[] {
  const row = (name: string, of: Totals & Rates, { sagas: all, orders, oldestSeconds }: OpenSagas): readonly string[] => [name, ...figures(of, of), count(all), count(orders), count(oldestSeconds)];
  return table([
    ['sagas', 'log end', 'applied', 'lag', 'lag s', 'sent/s', 'applied/s', 'open', 'open orders', 'oldest s'],
    ...shards.filter(({ problem }) => problem === undefined).map((shard) => row(shard.shard, shard.sagas, shard.open)),
    row('all', sagas, open),
  ]);
}

function sum(shards: readonly ShardStatus[], state: keyof ShardStanding['states']): number {
  return shards.reduce((total, shard) => total + shard.states[state], 0);
}

function figures(totals: Totals, rates: Rates): string[] {
  const { end, applied, lagRecords, lagSeconds } = totals;
  return [count(end), count(applied), count(lagRecords), lagSeconds.toFixed(1), count(rates.ackedPerSecond), count(rates.appliedPerSecond)];
}

function slotLines(shards: readonly ShardStatus[]): readonly string[] {
  return [...linesOf('writes', shards.flatMap((shard) => shard.slots)), ...linesOf('sagas', shards.flatMap((shard) => shard.sagas.slots))];
}

function linesOf(stream: Stream, slots: readonly SlotStanding[]): readonly string[] {
  return table([
    [`slot of ${stream}`, 'shard', 'state', 'log end', 'position', 'relayed', 'lag', 'lag s'],
    ...slots.toSorted((a, b) => a.slot - b.slot).map((slot) => [
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
