/** What happened in a schedule, in words: for the seed that broke an invariant. */
import { IDLE, STARTS, type Actor } from './actor.ts';
import { nameOf } from './rows.ts';
import { NO_POSITION, type Shard } from './shard.ts';
import type { World } from './world.ts';

export interface Trace {
  step(actor: Actor): void;
  event(text: string): void;
  /** What the rows are now, where they are not as before. */
  state(world: World): void;
  text(): string;
}

export function createTrace(): Trace {
  const lines: string[] = [];
  const known = new Map<string, string>();

  return {
    step({ name, at }) {
      if (at === IDLE || at === STARTS) return;
      lines.push(`${name}: ${typeof at === 'string' ? at : `locks ${at.row === 'slot' ? 'the slot row' : `position ${at.row}`} on ${at.tx.shard.id}`}`);
    },
    event(text) {
      lines.push(`  ! ${text}`);
    },
    state(world) {
      const { control } = world;
      const move = control.moves.at(-1);
      const texts = world.shards.map((shard) => [shard.id, describe(shard)] as const);
      const moveText = move ? `move ${move.id} ${move.source.id} -> ${move.target.id} ${move.state}, ` : '';
      for (const [name, text] of [...texts, ['control', `${moveText}token ${control.token}, epoch ${control.epoch} at ${control.owner.id}`] as const]) {
        if (known.get(name) !== text) lines.push(`      ${name}: ${text}`);
        known.set(name, text);
      }
    },
    text: () => lines.join('\n'),
  };
}

function describe({ slot, positions, rows, notes, incoming }: Shard): string {
  if (!slot) return 'no slot row';
  const stored = rows.flatMap((value, row) => (value === 0 ? [] : [`${nameOf(row)}=${value}`]));
  const parts = [
    `${slot.state}${slot.movedTo ? ` to ${slot.movedTo}` : ''} epoch ${slot.epoch} move ${slot.move ?? '-'} token ${slot.token}`,
    positions[0] === NO_POSITION ? '' : `at ${positions.join('/')}`,
    incoming ? `copied ${incoming.chunks} cursor ${incoming.cursor?.join('/') ?? '-'}${incoming.compared ? ' compared' : ''}` : '',
    stored.join(' '),
    notes.length === 0 ? '' : `notes ${notes.map(({ stream, offset, row }) => `${stream}@${offset} ${nameOf(row)}`).join(', ')}`,
  ];
  return parts.filter((part) => part !== '').join('; ');
}
