/** The checker over rows that are as the log says, and over those in which one fault is planted. */
import { describe, expect, test } from '@jest/globals';
import type { ShardId } from '@millrace/write';
import fc from 'fast-check';
import { checkLedger, NO_ROWS } from './check.ts';
import { simulate } from './testing/simulate.ts';
import { anySteps, authorize, deposit, forged, giveBack, invalid, open, place, transfer } from './testing/steps.ts';
import { A, B, OWNERS, rowOf, structuredCloneOf, worldOf } from './testing/world.ts';
import type { ShardSnapshot } from './snapshot.ts';
import { formatVerdict } from './verdict.ts';

describe('an untouched ledger', () => {
  test('a log and the rows it must leave behind are clean', () => {
    const verdict = checkLedger(worldOf().world);
    expect(formatVerdict(verdict)).toBe(
      '15 in the log, 12 applied once (2 of them refused), 1 duplicates left out, 2 parked, 0 lost, 0 doubled, 0 out of order; balances match\n' +
        'orders: 0 confirmed, 0 rejected, 0 cancelled, 1 open; 0 steps, 2 messages under way\n' +
        'clean: 15 records: 10 applied, 1 refused, 1 mismatches, 1 duplicates, 2 parked',
    );
    expect(verdict).toMatchObject({ clean: true, parkedOnTrust: 0, differences: [] });
  });

  test('the model agrees with a simulation that adds up the whole history for every question', () => {
    fc.assert(
      fc.property(anySteps, (steps) => {
        const verdict = checkLedger(simulate(steps, OWNERS));
        expect(formatVerdict(verdict)).toContain('\nclean:');
        expect(verdict.applied + verdict.refused + verdict.mismatches + verdict.duplicates + verdict.parked).toBe(steps.length);
      }),
      { numRuns: 200 },
    );
  });

  test('a ledger with nothing in it is clean', () => {
    expect(checkLedger(simulate([], OWNERS)).clean).toBe(true);
  });
});

describe('a planted fault', () => {
  test('a lost row: neither journal nor effect', () => {
    const { world, at } = worldOf();
    const rows = at('sku-1');
    rows.streams.writes.journal = rows.streams.writes.journal.filter((row) => row !== rowOf(rows, 'stock.receive', 1));
    rows.stock[0]!.onHand = 40n;
    expect(checkLedger(world)).toMatchObject({ clean: false, lost: 1, wrongStock: 1 });
  });

  test('a lost row: the journal says applied, the effect is missing', () => {
    const { world, at } = worldOf();
    at('acc-1').payments = [];
    const verdict = checkLedger(world);
    expect(verdict).toMatchObject({ clean: false, lost: 0, wrongPayment: 1 });
    expect(verdict.differences[0]).toMatchObject({ kind: 'wrong_payment', key: 'demo/acc-1 pay-1', actual: 'no row' });
  });

  test('a lost row: the position has passed a record that nothing else knows', () => {
    const { world, at } = worldOf([open('acc-1')]);
    at('acc-1').streams.writes.journal = [];
    at('acc-1').accounts = [];
    expect(checkLedger(world)).toMatchObject({ lost: 1, wrongBalance: 1 });
  });

  test('a doubled row: an effect applied twice under one journal row', () => {
    const { world, at } = worldOf();
    at('sku-1').stock[0]!.onHand += 2n;
    const verdict = checkLedger(world);
    expect(verdict).toMatchObject({ clean: false, wrongStock: 1 });
    expect(verdict.differences[0]).toMatchObject({ key: 'demo/sku-1', expected: '42 on hand, 0 reserved', actual: '44 on hand, 0 reserved' });
  });

  test('a doubled row: a duplicate has a journal row and an effect', () => {
    const { world, at } = worldOf();
    const rows = at('acc-1');
    const first = rowOf(rows, 'account.deposit', 1);
    rows.streams.writes.journal.push({ ...first, offset: first.offset + 1n, atMs: first.atMs + 1 });
    rows.accounts.find(({ key }) => key === 'demo/acc-1')!.balance += 500n;
    expect(checkLedger(world)).toMatchObject({ clean: false, doubled: 1, wrongBalance: 1 });
  });

  test('a doubled row: the duplicate has a row without a digest', () => {
    const { world, at } = worldOf();
    const rows = at('acc-1');
    const first = rowOf(rows, 'account.deposit', 1);
    rows.streams.writes.journal.push({ ...first, offset: first.offset + 1n, digest: null });
    expect(checkLedger(world)).toMatchObject({ clean: false, doubled: 1 });
  });

  test('a doubled row: the same row twice', () => {
    const { world, at } = worldOf();
    at('ord-1').streams.writes.journal.push({ ...rowOf(at('ord-1'), 'order.place') });
    expect(checkLedger(world)).toMatchObject({ clean: false, doubled: 1, lost: 0 });
  });

  test('swapped order: the authorization came before the deposit that pays for it', () => {
    const honest = [open('acc-1'), deposit('acc-1', '10.00'), authorize('acc-1', 'pay-1', '7.00')];
    const { world } = worldOf(honest);
    const { at } = worldOf([honest[0]!, honest[2]!, honest[1]!]);
    const { world: spoilt, at: target } = worldOf(honest);
    const wrong = at('acc-1');
    target('acc-1').payments = wrong.payments;
    target('acc-1').accounts = wrong.accounts;
    Object.assign(rowOf(target('acc-1'), 'payment.authorize'), { outcome: 'refused', code: 'insufficient_funds' });
    expect(checkLedger(world).clean).toBe(true);
    expect(checkLedger(spoilt)).toMatchObject({ clean: false, outOfOrder: 1, wrongPayment: 1, wrongBalance: 1 });
  });

  test('swapped order: two rows of the journal stand at each other’s offsets', () => {
    const { world, at } = worldOf();
    const [first, second] = [rowOf(at('sku-1'), 'stock.receive', 0), rowOf(at('sku-1'), 'stock.receive', 1)];
    [first.offset, second.offset] = [second.offset, first.offset];
    expect(checkLedger(world)).toMatchObject({ clean: false, outOfOrder: 2 });
  });

  test('swapped order: only the reason of a refusal tells', () => {
    const { world, at } = worldOf([authorize('acc-1', 'pay-1', '1.00'), open('acc-1')]);
    rowOf(at('acc-1'), 'payment.authorize').code = 'insufficient_funds';
    const verdict = checkLedger(world);
    expect(verdict).toMatchObject({ clean: false, outOfOrder: 1 });
    expect(verdict.differences[0]!.expected).toContain('unknown_account');
  });

  test('a wrong balance', () => {
    const { world, at, slot } = worldOf();
    at('acc-1').accounts.find(({ key }) => key === 'demo/acc-1')!.balance += 1n;
    const verdict = checkLedger(world);
    expect(verdict).toMatchObject({ clean: false, wrongBalance: 1 });
    expect(verdict.differences).toEqual([
      {
        kind: 'wrong_balance',
        shard: OWNERS[slot('acc-1')],
        slot: slot('acc-1'),
        key: 'demo/acc-1',
        expected: 'balance 8.00 GBP, held 0.00 GBP',
        actual: 'balance 8.01 GBP, held 0.00 GBP',
      },
      { kind: 'not_conserved', shard: 'none', key: 'GBP', expected: '8.00 GBP in all accounts, by what came in and went out', actual: '8.01 GBP' },
    ]);
  });

  test('money that is held though nothing holds it', () => {
    const { world, at } = worldOf();
    at('acc-1').accounts.find(({ key }) => key === 'demo/acc-1')!.held += 1n;
    expect(checkLedger(world)).toMatchObject({ clean: false, wrongBalance: 1 });
  });

  test('rows on the wrong shard, besides those on the right one', () => {
    const { world, at, slot, shard } = worldOf();
    const other = OWNERS[slot('acc-1')] === A ? B : A;
    shard(other).set(slot('acc-1'), { ...structuredCloneOf(NO_ROWS), accounts: [{ ...at('acc-1').accounts[0]! }] });
    const verdict = checkLedger(world);
    expect(verdict).toMatchObject({ clean: false, wrongShard: 1 });
    expect(verdict.differences[0]).toMatchObject({ shard: other, slot: slot('acc-1'), actual: expect.stringContaining('1 rows in account') });
  });

  test('rows on the wrong shard, instead of the right one', () => {
    const { world, slot, shard } = worldOf();
    const owner = OWNERS[slot('ord-1')]!;
    const rows = shard(owner).get(slot('ord-1'))!;
    shard(owner).delete(slot('ord-1'));
    shard(owner === A ? B : A).set(slot('ord-1'), rows);
    const verdict = checkLedger(world);
    expect(verdict).toMatchObject({ clean: false, wrongSlot: 1 });
    expect(verdict.differences[0]).toMatchObject({ shard: owner === A ? B : A, expected: `shard ${owner} holds the slot, as the topology says` });
  });

  test('rows on a shard that owns nothing', () => {
    const { world, at, slot } = worldOf();
    const idle: ShardSnapshot = { shard: 'c' as ShardId, slots: new Map([[slot('sku-1'), { ...NO_ROWS, stock: at('sku-1').stock }]]) };
    expect(checkLedger({ ...world, shards: [...world.shards, idle] })).toMatchObject({ clean: false, wrongShard: 1 });
  });

  test('a position beyond the end of the log', () => {
    const { world, at } = worldOf();
    at('acc-1').streams.writes.position!.nextOffset += 1n;
    expect(checkLedger(world)).toMatchObject({ clean: false, wrongPosition: 1 });
  });

  test('a position behind its rows: applied, but it would be applied again', () => {
    const { world, at } = worldOf([open('acc-1'), deposit('acc-1', '1.00')]);
    at('acc-1').streams.writes.position!.nextOffset = 1n;
    const verdict = checkLedger(world);
    expect(verdict).toMatchObject({ clean: false, wrongRow: 1, wrongBalance: 1, notYetApplied: 1 });
  });

  test('a relay that is ahead of the position', () => {
    const { world, at } = worldOf();
    at('acc-1').streams.writes.position!.relayedOffset = at('acc-1').streams.writes.position!.nextOffset + 1n;
    expect(checkLedger(world)).toMatchObject({ clean: false, wrongPosition: 1 });
  });

  test.each([
    ['digest', { digest: '0'.repeat(32) }],
    ['body hash', { bodyHash: 1n }],
    ['time', { atMs: 1 }],
    ['key', { key: 'demo/acc-9' }],
    ['type', { type: 'account.open' }],
    ['offset', { offset: 400n }],
  ])('a journal row with another %s', (_, change) => {
    const { world, at } = worldOf();
    Object.assign(rowOf(at('acc-1'), 'account.deposit'), change);
    const verdict = checkLedger(world);
    expect(verdict.clean).toBe(false);
    expect(verdict.wrongRow + verdict.doubled).toBe(1);
  });

  test('an order whose lines are not those that were placed', () => {
    const { world, at } = worldOf();
    at('ord-1').orders[0]!.lines = [{ sku: 'sku-1', quantity: 3, unit_price: '2.51' }];
    expect(checkLedger(world)).toMatchObject({ clean: false, wrongOrder: 1 });
  });

  test('a message that a write must send on is lost, or is another', () => {
    const lost = worldOf();
    rowOf(lost.at('ord-1'), 'order.place').messages = null;
    expect(checkLedger(lost.world)).toMatchObject({ clean: false, wrongMessage: 1, differencesFound: 1 });
    const other = worldOf();
    const [message] = rowOf(other.at('ord-1'), 'order.cancel').messages as readonly object[];
    rowOf(other.at('ord-1'), 'order.cancel').messages = [{ ...message, data: { saga: 'order', by: 'operator' } }];
    expect(checkLedger(other.world)).toMatchObject({ clean: false, wrongMessage: 1, differencesFound: 1 });
  });

  test('a message that a write has no need to send', () => {
    const { world, at } = worldOf();
    rowOf(at('sku-1'), 'stock.receive').messages = [{ stream: 'sagas', key: 'demo/sku-1', type: 'saga.retry', idempotencyKey: '\u0001x', data: {} }];
    expect(checkLedger(world)).toMatchObject({ clean: false, wrongMessage: 1 });
  });

  test('jsonb keeps no order of fields, and none is asked for', () => {
    const { world, at } = worldOf();
    const [message] = rowOf(at('ord-1'), 'order.place').messages as readonly Record<string, unknown>[];
    rowOf(at('ord-1'), 'order.place').messages = [Object.fromEntries(Object.entries(message!).reverse())];
    expect(checkLedger(world).clean).toBe(true);
  });

  test('an order that the topic of sagas has not got, though its message was relayed', () => {
    const { world, at } = worldOf([place('ord-1'), transfer('tr-1', '1.00')]);
    expect(checkLedger(world)).toMatchObject({ clean: true, messagesUnderWay: 2 });
    at('ord-1').streams.writes.position!.relayedOffset = 1n;
    expect(checkLedger(world)).toMatchObject({ clean: false, lostMessage: 1, differencesFound: 1 });
  });

  test('an order that is placed is open, and that can be asked not to be', () => {
    const { world } = worldOf([place('ord-1')]);
    expect(checkLedger(world)).toMatchObject({ clean: true, orders: { open: 1 } });
    // It has no saga, and its start is on its way.
    expect(checkLedger({ ...world, requireEnded: true })).toMatchObject({ clean: false, notEnded: 2 });
  });

  test('a command under a key of a client’s is parked, and no message', () => {
    const { world, at } = worldOf([open('acc-1'), forged('acc-1')]);
    expect(checkLedger(world)).toMatchObject({ clean: true, parked: 1, parkedOnTrust: 0, inventedMessage: 0 });
    at('acc-1').streams.writes.parked = [];
    expect(checkLedger(world)).toMatchObject({ clean: false, lost: 1 });
  });

  test('a name that a return was not given', () => {
    const { world, at } = worldOf([place('ord-1'), giveBack('ord-1', 'ret-1', 1)]);
    expect(checkLedger(world).clean).toBe(true);
    rowOf(at('ord-1'), 'order.return').facts = { return: 'ret-2' };
    expect(checkLedger(world)).toMatchObject({ clean: false, wrongRow: 1 });
  });

  test('room that is promised though nothing asks for it', () => {
    const { world, at } = worldOf();
    at('acc-1').accounts.find(({ key }) => key === 'demo/acc-1')!.incoming += 1n;
    at('sku-1').stock[0]!.incoming += 1n;
    expect(checkLedger(world)).toMatchObject({ clean: false, wrongBalance: 1, wrongStock: 1, wrongEscrow: 2 });
  });

  test('a mismatch that names another first write', () => {
    const { world, at } = worldOf();
    at('acc-1').streams.writes.journal.find(({ code }) => code === 'idempotency_mismatch')!.first = '0';
    expect(checkLedger(world)).toMatchObject({ clean: false, wrongRow: 1 });
  });

  test('a parked record that is gone, one with another value, one that nobody sent', () => {
    const { world, at } = worldOf();
    const rows = at('acc-2');
    const head = rows.streams.writes.parked[0]!;
    expect(rows.streams.writes.parked).toHaveLength(2);
    rows.streams.writes.parked = [{ ...head, value: Buffer.from('{}') }, { ...head, offset: 77n }];
    expect(checkLedger(world)).toMatchObject({ clean: false, lost: 1, wrongParked: 2 });
  });

  test('a record that was parked and applied all the same', () => {
    const { world, at } = worldOf();
    const rows = at('acc-2');
    const follower = rows.streams.writes.parked[1]!;
    rows.streams.writes.journal.push({ ...rowOf(rows, 'account.open'), type: 'account.deposit', offset: follower.offset, key: 'demo/acc-2', digest: null });
    expect(checkLedger(world)).toMatchObject({ clean: false, wrongRow: 1 });
  });

  test('a follower that overtook the parked record of its key', () => {
    const { world } = worldOf([open('acc-2'), invalid('acc-2'), deposit('acc-2', '1.00')]);
    const { world: spoilt, at } = worldOf([open('acc-2'), invalid('acc-2'), deposit('acc-2', '1.00')]);
    const rows = at('acc-2');
    rows.streams.writes.parked = rows.streams.writes.parked.slice(0, 1);
    rows.accounts[0]!.balance = 100n;
    expect(checkLedger(world).clean).toBe(true);
    expect(checkLedger(spoilt)).toMatchObject({ clean: false, lost: 1, wrongBalance: 1 });
  });

  test('any row that is taken away, and any number that is changed, is seen', () => {
    fc.assert(
      fc.property(anySteps, fc.nat(), fc.boolean(), (steps, pick, isRemoved) => {
        const { world, shard } = worldOf(steps);
        const lists = [A, B].flatMap((id) => [...shard(id).values()].flatMap((rows) => [rows.streams.writes.journal, rows.accounts, rows.payments, rows.orders, rows.stock].filter((list) => list.length > 0)));
        fc.pre(lists.length > 0);
        const list = lists[pick % lists.length]! as Record<string, unknown>[];
        const index = pick % list.length;
        const row = list[index]!;
        const numbers = Object.keys(row).filter((name) => typeof row[name] === 'bigint');
        const number = numbers[pick % numbers.length]!;
        if (isRemoved) list.splice(index, 1);
        else row[number] = (row[number] as bigint) + 1n;
        expect(checkLedger(world).clean).toBe(false);
      }),
      { numRuns: 200 },
    );
  });
});
