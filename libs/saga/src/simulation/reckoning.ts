/**
 * The end of a schedule against what clients asked for: an order is charged and taken exactly where it is confirmed, a
 * return paid back and put back, a transfer moved; and otherwise nothing.
 */
import { account, orders, saga as sagaTable, stock, type AccountRow, type OrderRow, type SagaRow, type StockRow } from '@millrace/domain';
import { must, type RoutingKey } from '@millrace/write';
import { sagaOf } from '../row.ts';
import type { Saga } from '../saga.ts';
import type { OrderAsked, Script } from './clients.ts';
import { rowsOf, sagaAt, TENANT, violates, type World } from './world.ts';

/** S4 and S5 at the end. @throws Violation */
export function checkEffects(world: World, { orders: placed, transfers }: Script, cameIn: ReadonlyMap<string, bigint>): void {
  const expected = new Map(cameIn);
  const add = (pool: string, units: bigint): void => void expected.set(pool, (expected.get(pool) ?? 0n) + units);
  for (const order of placed) settle(world, order, add);
  for (const { transfer, from, to, amount } of transfers) {
    if (stateOf(world, transfer, 'transfer') !== 'confirmed') continue;
    add(`account ${TENANT}/${from}`, -BigInt(amount));
    add(`account ${TENANT}/${to}`, BigInt(amount));
  }
  for (const { key, balance, held, incoming } of rowsOf<AccountRow>(world, account)) compare(`account ${key}`, [balance, held, incoming], expected);
  for (const { key, on_hand: onHand, reserved, incoming } of rowsOf<StockRow>(world, stock)) compare(`stock ${key}`, [onHand, reserved, incoming], expected);
}

function compare(pool: string, [available, kept, incoming]: readonly bigint[], expected: ReadonlyMap<string, bigint>): void {
  const wanted = expected.get(pool) ?? 0n;
  if (available !== wanted || kept !== 0n || incoming !== 0n) violates(`S4: at the end ${pool} has ${available}, keeps ${kept}, expects ${incoming}; by what clients asked it has ${wanted}`);
}

/** An order, and what came back of it. */
function settle(world: World, { order, account: payer, lines }: OrderAsked, add: (pool: string, units: bigint) => void): void {
  const key = `${TENANT}/${order}`;
  if (!rowsOf<OrderRow>(world, orders).some((row) => row.key === key)) violates(`S5: ${order} is not placed`);
  const saga = must(sagaAt(world, { key: key as RoutingKey, saga: 'order' }) ?? violates(`S5: the saga of ${order} has not begun`), 'checked');
  const returns = returnsOf(world, key);
  if (saga.state !== 'confirmed') {
    if (returns.length > 0) violates(`S4: ${order} is ${saga.state}, and has returns`);
    return;
  }
  const back = lines.map(() => 0);
  for (const { state, claim = [] } of returns) {
    for (const { line, quantity } of claim) if (state === 'confirmed') back[line] = (back[line] ?? 0) + quantity;
  }
  const told = saga.returned ?? back.map(() => 0);
  lines.forEach(({ sku, quantity, unit_price: price }, index) => {
    const returned = must(back[index], 'every line has a number');
    if (returned > quantity) violates(`S4: of ${order} more of line ${index} is returned than was bought`);
    if (returned !== told[index]) violates(`S4: of ${order} line ${index} ${told[index]} are claimed, ${returned} are returned`);
    add(`account ${TENANT}/${payer}`, -BigInt(quantity - returned) * BigInt(price));
    add(`stock ${TENANT}/${sku}`, -BigInt(quantity - returned));
  });
}

function returnsOf(world: World, key: string): readonly Saga[] {
  return rowsOf<SagaRow>(world, sagaTable)
    .filter((row) => row.key === key && row.saga.startsWith('return/'))
    .map((row) => sagaOf(row));
}

function stateOf(world: World, id: string, saga: string): Saga['state'] {
  return (sagaAt(world, { key: `${TENANT}/${id}` as RoutingKey, saga }) ?? violates(`S5: the saga of ${id} has not begun`)).state;
}
