/** What must hold after every step of everybody, when a move has ended, and when all is quiet. */
import { isOpen, type Move } from './control.ts';
import { LOG_RECORDS, nameOf, type Rows } from './rows.ts';
import { hasRows, holds, type Positions, type Shard } from './shard.ts';
import type { World } from './world.ts';

export interface Invariants {
  /** After every step. @throws Violation */
  readonly step: () => void;
  /** When all is quiet, at the end of a fair schedule. @throws Violation */
  readonly quiet: () => void;
}

interface Holder {
  readonly shard: Shard;
  readonly rows: Rows;
  readonly positions: Positions;
}

export function createInvariants(world: World): Invariants {
  const { shards, truth, control } = world;
  /** The last holder that was found right, and with what. */
  let seen: Holder | undefined;
  let epoch = 0n;

  function step(): void {
    if (control.moves.length > 1 && control.moves.filter(isOpen).length > 1) world.violates('R3: two moves of the slot are open');
    const holder = onlyHolder(world);
    if (!holder || isSeen(holder)) return;
    checkEpoch(holder);
    checkRows(world, holder);
    seen = { shard: holder, rows: holder.rows, positions: holder.positions };
  }

  function isSeen(shard: Shard): boolean {
    return shard === seen?.shard && shard.rows === seen.rows && shard.positions === seen.positions && shard.slot?.epoch === epoch;
  }

  /** A new owner, and an old one that returns, has a higher epoch than anyone before. */
  function checkEpoch(shard: Shard): void {
    const next = shard.slot!.epoch;
    if (next < epoch || (next === epoch && shard !== seen?.shard)) world.violates(`R4: ${shard.id} holds the slot at epoch ${next}, before it came ${epoch}`);
    epoch = next;
  }

  function quiet(): void {
    const holder = onlyHolder(world) ?? world.violates('R1: nobody holds the slot');
    if (control.owner !== holder) world.violates(`R1: the topology names ${control.owner.id}, ${holder.id} holds the slot`);
    if (holder.slot?.state !== 'ACTIVE') world.violates(`liveness: ${holder.id} is still ${holder.slot?.state}`);
    if (truth.positions.some((next) => next !== LOG_RECORDS)) world.violates('liveness: records are not applied');
    for (const shard of shards) checkLeftovers(world, shard);
  }

  return { step, quiet };
}

function onlyHolder(world: World): Shard | undefined {
  let holder: Shard | undefined;
  for (const shard of world.shards) {
    if (!holds(shard)) continue;
    if (holder) world.violates(`W2: ${holder.id} and ${shard.id} both hold the slot`);
    holder = shard;
  }
  return holder;
}

/** W1: what the holder has is the fold of both logs up to its positions, and nothing that was applied is missing. */
function checkRows(world: World, { id, rows, positions }: Shard): void {
  const { truth } = world;
  const row = rows.findIndex((value, index) => value !== truth.rows[index]);
  if (row >= 0) world.violates(`W1: ${id} has ${rows[row]} as ${nameOf(row)}, the logs make it ${truth.rows[row]}`);
  if (positions[0] !== truth.positions[0] || positions[1] !== truth.positions[1]) world.violates(`W1: ${id} is at ${positions.join('/')}, applied is ${truth.positions.join('/')}`);
}

/** When the control database says that a move has ended. @throws Violation */
export function checkEnd(world: World, { source, target, state }: Move): void {
  const [holder, other] = state === 'done' ? [target, source] : [source, target];
  if (holder.slot?.state !== 'ACTIVE') world.violates(`a move is ${state}, and ${holder.id} is ${holder.slot?.state ?? 'without the slot'}`);
  for (const shard of [holder, other]) checkLeftovers(world, shard);
}

function checkLeftovers(world: World, shard: Shard): void {
  if (shard.notes.length > 0) world.violates(`leftovers: ${shard.id} has notes`);
  if (shard.incoming) world.violates(`leftovers: ${shard.id} has the progress of a copy`);
  if (holds(shard)) return;
  if (hasRows(shard)) world.violates(`leftovers: ${shard.id} has rows of a slot that it does not hold`);
  if (shard.slot?.state === 'INCOMING') world.violates(`leftovers: ${shard.id} waits for a slot that does not come`);
}
