/** A plan as people read it: what would move, what it costs, and the load that results. Pure. */
import { count } from '../output.ts';
import type { Plan, PlanSummary } from './admin-schema.ts';
import { bytesText, millisecondsText, plural, secondsText } from './figures.ts';
import { table } from '../table.ts';

export function planText(plan: Plan): string {
  const { estimate, moves } = plan;
  const head = `${planName(plan)}: ${moves.length === 0 ? 'nothing moves' : `${plural(moves.length, 'slot')} move`}`;
  if (moves.length === 0) return [head, ...loadLines(plan)].join('\n');
  return [
    head,
    `  ${count(estimate.rows)} rows, ${bytesText(estimate.bytes)}; about ${secondsText(estimate.seconds)}, each slot unapplied for about ${millisecondsText(estimate.stall_ms)}`,
    ...pairLines(plan),
    ...loadLines(plan),
  ].join('\n');
}

/** `plan 3 (running, by slots)`. */
export function planName({ id, state, by, reverse_of }: PlanSummary): string {
  const reversed = reverse_of === undefined ? '' : `, back to before plan ${reverse_of}`;
  return `plan ${id} (${state}, by ${by}${reversed})`;
}

/** How many slots go from where to where. */
function pairLines({ moves }: Plan): readonly string[] {
  const pairs = Map.groupBy(moves, ({ source, target }) => `${source} -> ${target}`);
  return [...pairs].sort(([a], [b]) => (a < b ? -1 : 1)).map(([pair, slots]) => `  ${pair}: ${plural(slots.length, 'slot')}`);
}

function loadLines({ load, by, balance, bound, note }: Plan): readonly string[] {
  const text = (amount: number): string => (by === 'bytes' ? bytesText(amount) : by === 'rate' ? `${count(Math.round(amount))}/s` : count(amount));
  const rows = load.map(({ shard, weight, before, after }) => [shard, String(weight), text(before), text(after)]);
  return [...table([['shard', 'weight', `${by} before`, 'after'], ...rows]), `  the fullest shard then has ${balance.toFixed(3)} of its fair share; whole slots allow ${bound.toFixed(3)} at best`, ...(note === undefined ? [] : [`  ${note}`])];
}
