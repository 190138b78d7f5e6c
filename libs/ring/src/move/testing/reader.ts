/** A gateway: it reads a row where the slot row says that the slot is, as new as the position that it read with it. */
import { IDLE, type Steps } from './actor.ts';
import { ROWS } from './rows.ts';
import { holds } from './shard.ts';
import type { World } from './world.ts';

export function* reader(world: World): Steps {
  for (;;) {
    yield IDLE;
    const shard = world.random.pick(world.shards);
    if (!holds(shard)) continue;
    const row = world.random.below(ROWS);
    // The client's receipt is of any write that is applied by now.
    const receipt = world.truth.versions[row]!.length - 1;
    if (!world.rules.readInOneStatement) yield 'reads the row';
    const value = shard.rows[row]!;
    if (world.truth.versions[row]!.indexOf(value, receipt) < 0) world.violates(`a read on ${shard.id} gives ${value}, older than the receipt`);
  }
}
