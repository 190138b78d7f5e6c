/** The end of a move in the topology: the target becomes the slot's owner. */
import { moveSlot, type Topology } from '@millrace/ring';
import type { Database } from '@millrace/postgres';
import { proposeTopology, readTopology } from '@millrace/topology';
import { assert, must } from '@millrace/write';
import { audit, lockChanges } from '../control/change.ts';
import { underLease } from '../control/lease.sql.ts';
import type { MoveOrder } from '../move/types.ts';

export async function isOwner(control: Database, { slot, target }: MoveOrder): Promise<boolean> {
  const rows = await control.query<{ owns: boolean }>({
    name: 'topology-owns',
    text: 'select owners[$1::int + 1] = $2 as owns from topology order by epoch desc limit 1',
    values: [slot, target],
  });
  return rows[0]?.owns === true;
}

/**
 * R2 the next epoch, by compare-and-set, in a transaction under the lease; or nothing where the target is the owner
 * already. The newest topology in either case. @throws Superseded
 */
export function makeOwner({ control, token, order, instance }: { readonly control: Database; readonly token: bigint; readonly order: MoveOrder; readonly instance: string }): Promise<Topology> {
  const { id, slot, source, target } = order;
  return underLease(control, token, async (tx) => {
    await lockChanges(tx);
    const newest = must(await readTopology(tx), 'R2: a move begins with a topology');
    if (newest.owners[slot] === target) return newest;
    assert(newest.owners[slot] === source, `R1: slot ${slot} is on ${source} or ${target} while move ${id} is open`);
    const next = moveSlot(newest, { slot, source, target });
    const proposed = await proposeTopology(tx, next, { author: instance, reason: `move ${id}: slot ${slot} from ${source} to ${target}` });
    assert(proposed, 'R2: nothing comes between under the lock of changes');
    await audit(tx, { actor: instance, action: 'topology.publish', subject: `epoch ${next.epoch}`, detail: { move: id, slot, source, target } });
    return next;
  });
}
