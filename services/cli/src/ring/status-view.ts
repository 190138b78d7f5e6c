/** The ring as people read it. Pure. */
import { count } from '../output.ts';
import { isOver, type Leader, type Member, type Move, type PlanSummary } from './admin-schema.ts';
import { bytesText, millisecondsText } from './figures.ts';
import { planName } from './plan-view.ts';
import { table } from '../table.ts';

export interface RingStatus {
  readonly epoch: number;
  readonly slots: number;
  readonly leader: Leader;
  readonly shards: readonly Member[];
  /** Newest first. */
  readonly plans: readonly PlanSummary[];
  /** Those that are not over. */
  readonly moves: readonly Move[];
}

const MOVES_SHOWN_MAX = 16;

export function statusText({ epoch, slots, leader, shards, plans, moves }: RingStatus): string {
  return [
    `epoch ${epoch}, ${slots} slots, ${leader.holder === undefined ? 'no ring-manager leads' : `${leader.holder} leads`}`,
    ...table([['shard', 'state', 'weight', 'slots', 'share'], ...shards.map((shard) => memberRow(shard, slots))]),
    ...planLines(plans),
    ...moveLines(moves),
  ].join('\n');
}

function memberRow({ shard, state, weight, slots }: Member, all: number): readonly string[] {
  return [shard, state, String(weight), count(slots), `${((100 * slots) / all).toFixed(1)} %`];
}

/** Those that are not over, and the one that ended last. */
function planLines(plans: readonly PlanSummary[]): readonly string[] {
  const open = plans.filter((plan) => !isOver(plan) && plan.state !== 'preview');
  const last = plans.find(isOver);
  return [...open, ...(last === undefined ? [] : [last])].map((plan) => {
    const { moves, done, aborted, rows, bytes } = plan.progress;
    const turned = aborted === 0 ? '' : `, ${aborted} turned back`;
    return `${planName(plan)}: ${done}/${moves} slots${turned}, ${count(rows)} rows, ${bytesText(bytes)}`;
  });
}

function moveLines(moves: readonly Move[]): readonly string[] {
  if (moves.length === 0) return ['no slot is moving'];
  const underWay = moves.toSorted((a, b) => Number(a.state === 'planned') - Number(b.state === 'planned') || Number(a.id) - Number(b.id));
  const shown = underWay.slice(0, MOVES_SHOWN_MAX);
  const more = moves.length - shown.length;
  return [
    ...table([['move', 'slot', 'from', 'to', 'phase', 'rows', 'copied', 'rounds', 'stall'], ...shown.map(moveRow)]),
    ...(more === 0 ? [] : [`  and ${more} more`]),
    ...shown.flatMap(({ id, error }) => (error === undefined ? [] : [`  move ${id}: ${error}`])),
  ];
}

function moveRow({ id, slot, source, target, phase, paused, state, progress: { rows, bytes, rounds, stall_ms } }: Move): readonly string[] {
  const now = state === 'aborting' ? 'aborting' : phase;
  return [
    id,
    String(slot),
    source,
    target,
    paused ? `${now}, paused` : now,
    rows === undefined ? '-' : count(rows),
    bytes === undefined ? '-' : bytesText(bytes),
    rounds === undefined ? '-' : count(rounds),
    stall_ms === undefined ? '-' : millisecondsText(stall_ms),
  ];
}
