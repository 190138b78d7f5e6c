/** All there is in one schedule: shards, control database, logs, what must be true, and what may go wrong. */
import type { Actor } from './actor.ts';
import { createControl, type Control, type Move } from './control.ts';
import { checkEnd } from './invariants.ts';
import type { Random } from './random.ts';
import { createLog, fold, emptyRows, ROWS, type Log, type Rows, type StreamNo } from './rows.ts';
import type { Rules } from './rules.ts';
import { createShard, holds, withPosition, type Positions, type Shard } from './shard.ts';
import type { Tx } from './transaction.ts';

/** What may go wrong, each once in so many times; 0 is never. */
export interface Faults {
  readonly commitUnknown: number;
  /** A row of a copy does not arrive: a bug, or a disk. */
  readonly rowLost: number;
  /** A batch of deletes is carried out once more, much later. */
  readonly batchStrays: number;
}

/** What the rows must be: the fold of both logs up to the positions. */
export interface Truth {
  rows: Rows;
  positions: Positions;
  /** All values that each row has had. */
  readonly versions: number[][];
}

export interface World {
  readonly random: Random;
  readonly rules: Rules;
  faults: Faults;
  readonly logs: readonly [Log, Log];
  readonly shards: readonly Shard[];
  readonly control: Control;
  readonly truth: Truth;
  /** Transactions without a client: each will commit, if COMMIT was sent, or abort. */
  readonly limbo: Tx[];
  /** Under way, though nobody waits for them any more. */
  readonly strays: Actor[];
  /** A turn commits. @throws Violation of W1 or W2 */
  appliesTurn(shard: Shard, stream: StreamNo, records: { readonly from: number; readonly to: number }): void;
  /** A move has ended, says the control database. @throws Violation */
  ended(move: Move): void;
  /** A topology is published. @throws Violation of R2 */
  published(epoch: number): void;
  /** Counted, and told to the trace. */
  happens(what: string): void;
  violates(what: string): never;
}

export class Violation extends Error {
  override readonly name = 'Violation';
}

export function createWorld({ random, rules, faults, happens }: Pick<World, 'random' | 'rules' | 'faults' | 'happens'>): World {
  const shards = ['a', 'b', 'c'].map(createShard);
  const owner = shards[0]!;
  owner.slot = { state: 'ACTIVE', epoch: 1n, move: null, movedTo: null, token: 0 };
  owner.positions = [0, 0];
  const truth: Truth = { rows: emptyRows(), positions: [0, 0], versions: Array.from({ length: ROWS }, () => [0]) };
  let epoch = 1;

  const world: World = {
    random,
    rules,
    faults,
    logs: [createLog(random), createLog(random)],
    shards,
    control: createControl(owner),
    truth,
    limbo: [],
    strays: [],
    appliesTurn(shard, stream, { from, to }) {
      if (!holds(shard)) world.violates(`W2: a turn commits on ${shard.id}, where the slot is ${shard.slot?.state}`);
      if (from !== truth.positions[stream]) world.violates(`W1: ${shard.id} applies offset ${from}, next is ${truth.positions[stream]}`);
      const rows = truth.rows.slice();
      fold(rows, stream, world.logs[stream], { from, to });
      rows.forEach((value, row) => value !== truth.rows[row] && truth.versions[row]!.push(value));
      truth.rows = rows;
      truth.positions = withPosition(truth.positions, stream, to);
    },
    ended: (move) => checkEnd(world, move),
    published(next) {
      if (next !== epoch + 1) world.violates(`R2: epoch ${next} follows ${epoch}`);
      epoch = next;
    },
    happens,
    violates(what) {
      throw new Violation(what);
    },
  };
  return world;
}
