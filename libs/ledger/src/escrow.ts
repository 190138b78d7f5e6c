/**
 * What is kept in a slot has someone who keeps it: the money that an account holds is that of its authorizations and of
 * the holds of sagas, and the room that it promises that of sagas alone; of stock the same. Over the rows as they are,
 * at any instant: an account, its payments and its holds lie in one slot and are written by one transaction.
 */
import type { ShardId } from '@millrace/write';
import { money } from './compare-entities.ts';
import type { SlotRows } from './snapshot.ts';
import type { Report } from './verdict.ts';

interface Kept {
  held: bigint;
  incoming: bigint;
}

export function compareEscrow({ shard, slot, rows, report }: { readonly shard: ShardId; readonly slot: number; readonly rows: SlotRows; readonly report: Report }): void {
  const kept = new Map<string, Kept>();
  const keptOf = (kind: string, key: string): Kept => {
    const name = `${kind} ${key}`;
    const known = kept.get(name) ?? { held: 0n, incoming: 0n };
    kept.set(name, known);
    return known;
  };
  for (const { account, authorized, captured, released } of rows.payments) keptOf('account', account).held += authorized - captured - released;
  for (const { kind, key, direction, units, state } of rows.holds) {
    if (state !== 'held') continue;
    if (direction === 'out') keptOf(kind, key).held += units;
    else keptOf(kind, key).incoming += units;
  }
  const compare = (key: string, expected: Kept, actual: Kept, show: (units: bigint) => string): void => {
    if (expected.held === actual.held && expected.incoming === actual.incoming) return;
    const say = ({ held, incoming }: Kept): string => `${show(held)} kept, room for ${show(incoming)}`;
    report.differs({ kind: 'wrong_escrow', shard, slot, key, expected: `${say(expected)}, by its payments and holds`, actual: say(actual) });
  };
  for (const { key, currency, held, incoming } of rows.accounts) compare(key, keptOf('account', key), { held, incoming }, (units) => money(units, currency));
  for (const { key, reserved, incoming } of rows.stock) compare(key, keptOf('stock', key), { held: reserved, incoming }, String);
}
