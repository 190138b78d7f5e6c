import { describe, expect, test } from '@jest/globals';
import { digestOf, type Offset, type ShardId, type Slot } from '@millrace/write';
import { slotOf } from '@millrace/ring';
import fc from 'fast-check';
import { checkLedger, NO_ROWS } from './check.ts';
import type { OpenMove } from './moves.ts';
import { simulate, type Step, type World } from './testing/simulate.ts';
import { anySteps, authorize, cancel, capture, deposit, forged, giveBack, invalid, open, place, receive, release, transfer } from './testing/steps.ts';
import type { AccountRow, HoldRow, JournalRow, OrderRow, ParkedRow, PaymentRow, SagaRow, ShardSnapshot, SlotRows, StockRow, StreamRows } from './snapshot.ts';
import { formatVerdict } from './verdict.ts';

const A = 'a' as ShardId;
const B = 'b' as ShardId;
const OWNERS = [A, B, A, B];

type Mutable<T> = { -readonly [Field in keyof T]: T[Field] };
interface MutableStream {
  position: Mutable<NonNullable<StreamRows['position']>> | null;
  journal: Mutable<JournalRow>[];
  parked: Mutable<ParkedRow>[];
}
interface MutableRows {
  slotState: Mutable<NonNullable<SlotRows['slotState']>> | null;
  streams: { writes: MutableStream; sagas: MutableStream };
  accounts: Mutable<AccountRow>[];
  payments: Mutable<PaymentRow>[];
  orders: Mutable<OrderRow>[];
  stock: Mutable<StockRow>[];
  holds: Mutable<HoldRow>[];
  sagas: Mutable<SagaRow>[];
}

const HISTORY: readonly Step[] = [
  open('acc-1'),
  deposit('acc-1', '10.00'),
  authorize('acc-1', 'pay-1', '7.00'),
  deposit('acc-1', '5.00', { idempotencyKey: 'again' }),
  deposit('acc-1', '5.00', { idempotencyKey: 'again' }),
  deposit('acc-1', '6.00', { idempotencyKey: 'again' }),
  capture('acc-1', 'pay-1'),
  authorize('acc-1', 'pay-2', '99.00'),
  receive('sku-1', 40),
  receive('sku-1', 2),
  place('ord-1'),
  cancel('ord-1'),
  open('acc-2'),
  invalid('acc-2'),
  deposit('acc-2', '1.00'),
];

/** A clean world whose rows a test may spoil; `at` gives the rows of the slot that an id lies in. */
function worldOf(steps: readonly Step[] = HISTORY): { world: World; at: (id: string) => MutableRows; slot: (id: string) => number; shard: (id: ShardId) => Map<number, MutableRows> } {
  const world = simulate(steps, OWNERS);
  const slot = (id: string): number => slotOf(`demo/${id}`, OWNERS.length);
  const shard = (id: ShardId): Map<number, MutableRows> => world.shards.find((snapshot) => snapshot.shard === id)!.slots as unknown as Map<number, MutableRows>;
  return { world, slot, shard, at: (id) => shard(OWNERS[slot(id)]!).get(slot(id))! };
}

function rowOf(rows: MutableRows, type: string, index = 0): Mutable<JournalRow> {
  return rows.streams.writes.journal.filter((row) => row.type === type)[index]!;
}

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

describe('a slot that moves, or moved', () => {
  const states = (world: ReturnType<typeof worldOf>): { slot: number; owner: ShardId; other: ShardId; own: MutableRows; place: (rows: Partial<MutableRows>, writes?: Partial<MutableStream>) => void } => {
    const slot = world.slot('acc-1');
    const owner = OWNERS[slot]!;
    const other = owner === A ? B : A;
    return { slot, owner, other, own: world.at('acc-1'), place(rows, writes = {}) {
        const empty = structuredCloneOf(NO_ROWS);
        const streams = rows.streams ?? empty.streams;
        world.shard(other).set(slot, { ...empty, ...rows, streams: { ...streams, writes: { ...streams.writes, ...writes } } });
      },
    };
  };
  const move = ({ slot, owner, other }: { slot: number; owner: ShardId; other: ShardId }): OpenMove => ({ slot, source: other, target: owner });

  test('a signpost with its position is no fault', () => {
    const { world, ...rest } = worldOf();
    const at = states({ world, ...rest });
    at.own.slotState!.epoch = 2n;
    at.place({ slotState: { state: 'MOVED', epoch: 1n, movedTo: at.owner } }, { position: { nextOffset: 3n, relayedOffset: 3n } });
    expect(checkLedger(world)).toMatchObject({ clean: true, moving: 0, movingRows: 0 });
  });

  test('a row left behind on the shard that it came from is found, unless the move is still open', () => {
    const { world, ...rest } = worldOf();
    const at = states({ world, ...rest });
    at.own.slotState!.epoch = 2n;
    at.place({ slotState: { state: 'MOVED', epoch: 1n, movedTo: at.owner }, accounts: [{ ...at.own.accounts[0]! }] });
    const verdict = checkLedger(world);
    expect(verdict).toMatchObject({ clean: false, wrongShard: 1 });
    expect(verdict.differences[0]).toMatchObject({ shard: at.other, slot: at.slot, actual: '1 rows in account, the first demo/acc-1' });
    const open = checkLedger({ ...world, moves: [move(at)] });
    expect(open).toMatchObject({ clean: true, moving: 1, movingRows: 1 });
    expect(formatVerdict(open)).toContain('1 slots moving (1 rows of theirs under way)');
    expect(checkLedger({ ...world, moves: [{ ...move(at), slot: at.slot + 1 }] }).wrongShard).toBe(1);
    expect(checkLedger({ ...world, moves: [{ ...move(at), source: 'c' as ShardId }] }).wrongShard).toBe(1);
  });

  test('a record on two shards', () => {
    const { world, ...rest } = worldOf();
    const at = states({ world, ...rest });
    at.place({}, { journal: [{ ...at.own.streams.writes.journal[0]! }] });
    expect(checkLedger(world)).toMatchObject({ clean: false, wrongShard: 1 });
  });

  test('two shards that both hold a slot as active', () => {
    const { world, ...rest } = worldOf();
    const at = states({ world, ...rest });
    at.place({ slotState: { state: 'ACTIVE', epoch: 2n, movedTo: null } });
    const verdict = checkLedger(world);
    expect(verdict).toMatchObject({ clean: false, wrongSlot: 1 });
    expect(verdict.differences[0]).toMatchObject({ slot: at.slot, expected: 'one shard that holds the slot' });
    expect(checkLedger({ ...world, moves: [move(at)] }).wrongSlot).toBe(1);
  });

  test('a slot that no shard holds', () => {
    const { world, ...rest } = worldOf();
    const at = states({ world, ...rest });
    Object.assign(at.own.slotState!, { state: 'ABORTED' });
    const verdict = checkLedger(world);
    expect(verdict).toMatchObject({ clean: false, wrongSlot: 1 });
    expect(verdict.differences.at(-1)).toMatchObject({ shard: at.owner, actual: `shard ${at.owner}: ABORTED, epoch 1` });
    at.place({ slotState: { state: 'ABORTED', epoch: 1n, movedTo: null } });
    expect(checkLedger({ ...world, moves: [move(at)] }).wrongSlot).toBe(1);
  });

  test('a slot that another shard holds than the topology names, unless the move is still open', () => {
    const { world, ...rest } = worldOf();
    const at = states({ world, ...rest });
    at.place(at.own);
    rest.shard(at.owner).set(at.slot, { ...structuredCloneOf(NO_ROWS), slotState: { state: 'MOVED', epoch: 0n, movedTo: at.other } });
    const verdict = checkLedger(world);
    expect(verdict).toMatchObject({ clean: false, wrongSlot: 1, wrongShard: 0, lost: 0 });
    expect(verdict.differences[0]).toMatchObject({ shard: at.other, expected: `shard ${at.owner} holds the slot, as the topology says` });
    expect(checkLedger({ ...world, moves: [move(at)] })).toMatchObject({ clean: true, moving: 1 });
    expect(checkLedger({ ...world, moves: [{ slot: at.slot, source: at.owner, target: 'c' as ShardId }] }).wrongSlot).toBe(1);
  });

  test.each<['MOVING' | 'INCOMING']>([['MOVING'], ['INCOMING']])('%s is a state of an open move only', (state) => {
    const { world, ...rest } = worldOf();
    const at = states({ world, ...rest });
    if (state === 'MOVING') at.own.slotState!.state = state;
    else at.place({ slotState: { state, epoch: 2n, movedTo: null } });
    const verdict = checkLedger(world);
    expect(verdict).toMatchObject({ clean: false, wrongSlot: 1 });
    expect(verdict.differences[0]!.actual).toContain(state);
    expect(checkLedger({ ...world, moves: [move(at)] }).clean).toBe(true);
  });

  test('an epoch that is not below that of the shard that holds the slot', () => {
    const { world, ...rest } = worldOf();
    const at = states({ world, ...rest });
    at.place({ slotState: { state: 'MOVED', epoch: 1n, movedTo: at.owner } });
    expect(checkLedger(world)).toMatchObject({ clean: false, wrongSlot: 1 });
  });

  test('a slot that does not exist', () => {
    const { world, shard } = worldOf();
    shard(A).set(99, { ...structuredCloneOf(NO_ROWS), slotState: { state: 'ACTIVE', epoch: 1n, movedTo: null } });
    expect(checkLedger(world)).toMatchObject({ clean: false, wrongSlot: 1 });
  });

  test.each(['changed', 'incoming'])('rows in %s, once no move of the slot is open', (table) => {
    const { world, ...rest } = worldOf();
    const at = states({ world, ...rest });
    const shards = world.shards.map((snapshot) => (snapshot.shard === at.other ? { ...snapshot, notes: [{ slot: at.slot, table, rows: 3n, sample: '7' }] } : snapshot));
    const verdict = checkLedger({ ...world, shards });
    expect(verdict).toMatchObject({ clean: false, moveLeftovers: 3, differencesFound: 1 });
    expect(formatVerdict(verdict)).toContain('3 leftovers of moves');
    expect(checkLedger({ ...world, shards, moves: [move(at)] })).toMatchObject({ clean: true, moving: 1, movingRows: 3 });
  });
});

describe('parking and release', () => {
  test('a release lets the followers go on in order, and stops at the next that cannot', () => {
    const { world, at } = worldOf([open('acc-1'), invalid('acc-1'), deposit('acc-1', '1.00'), invalid('acc-1'), deposit('acc-1', '2.00'), release('acc-1', 'skip')]);
    expect(checkLedger(world)).toMatchObject({ clean: true, parked: 2, refused: 1, applied: 3 });
    expect(at('acc-1').accounts[0]!.balance).toBe(100n);
  });

  test('a record that Postgres refused is parked on the shard’s word, and applied where a release let it go', () => {
    const steps = [open('acc-1'), deposit('acc-1', '3.00', { poison: 1 }), authorize('acc-1', 'pay-1', '2.00')];
    expect(checkLedger(worldOf(steps).world)).toMatchObject({ clean: true, parked: 2, parkedOnTrust: 1 });
    expect(checkLedger(worldOf([...steps, release('acc-1', 'retry')]).world)).toMatchObject({ clean: true, parked: 0, applied: 4 });
  });

  test('a release that Postgres refused again lets nothing go', () => {
    const steps = [open('acc-1'), deposit('acc-1', '3.00', { poison: 2 }), deposit('acc-1', '1.00'), release('acc-1', 'retry')];
    expect(checkLedger(worldOf(steps).world)).toMatchObject({ clean: true, parked: 2, refused: 1, applied: 1 });
    expect(checkLedger(worldOf([...steps, release('acc-1', 'retry')]).world)).toMatchObject({ clean: true, parked: 0, applied: 4 });
  });

  test('a release that claims to have let nothing go, though its followers went', () => {
    const { world, at } = worldOf([open('acc-1'), deposit('acc-1', '3.00', { poison: 1 }), release('acc-1', 'retry')]);
    Object.assign(rowOf(at('acc-1'), 'parked.release'), { outcome: 'refused', code: 'still_parked' });
    expect(checkLedger(world)).toMatchObject({ clean: false, wrongBalance: 1 });
  });

  test('a release may let only some go, and the next one the rest', () => {
    const { world, at } = worldOf([open('acc-1'), invalid('acc-1'), deposit('acc-1', '1.00'), release('acc-1', 'skip'), release('acc-1', 'retry')]);
    const rows = at('acc-1');
    const [first, second] = rows.streams.writes.journal.filter(({ type }) => type === 'parked.release');
    rowOf(rows, 'account.deposit').releasedBy = String(second!.offset);
    Object.assign(second!, { outcome: 'applied', code: null });
    expect(checkLedger(world)).toMatchObject({ clean: true, applied: 4 });
    rowOf(rows, 'account.deposit').releasedBy = String(first!.offset + 100n);
    expect(checkLedger(world).clean).toBe(false);
  });

  test('a skipped write is a duplicate when it is sent again, and a shard that forgot it is caught', () => {
    const poison = deposit('acc-1', '3.00', { poison: 9 });
    const { world, at } = worldOf([open('acc-1'), poison, release('acc-1', 'skip'), { ...poison, poison: 0 }]);
    expect(checkLedger(world)).toMatchObject({ clean: true, applied: 2, refused: 1, duplicates: 1 });
    at('acc-1').streams.writes.journal.find(({ code }) => code === 'skipped_by_operator')!.digest = null;
    expect(checkLedger(world).clean).toBe(false);
  });

  test('a released record that was applied out of order', () => {
    const { world, at } = worldOf([open('acc-1'), invalid('acc-1'), authorize('acc-1', 'pay-1', '2.00'), deposit('acc-1', '3.00'), release('acc-1', 'skip')]);
    Object.assign(rowOf(at('acc-1'), 'payment.authorize'), { outcome: 'applied', code: null });
    expect(checkLedger(world)).toMatchObject({ clean: false, outOfOrder: 1 });
  });
});

describe('the log', () => {
  test('records above the position are not yet applied, and that is not clean', () => {
    const { world, at, slot } = worldOf([open('acc-1')]);
    const verdict = checkLedger({ ...world, log: [...world.log, ...worldOf([open('acc-1'), deposit('acc-1', '1.00')]).world.log.slice(1)] });
    expect(at('acc-1').streams.writes.position!.nextOffset).toBe(1n);
    expect(verdict).toMatchObject({ clean: false, notYetApplied: 1, lost: 0, wrongBalance: 0 });
    expect(verdict.differences[0]).toMatchObject({ kind: 'not_yet_applied', slot: slot('acc-1'), actual: 'position 1, 1 records behind' });
  });

  test('while something moves, the sums are not judged; that is told, and a difference where all must have ended', () => {
    const { world } = worldOf([open('acc-1')]);
    const lagging = { ...world, log: [...world.log, ...worldOf([open('acc-1'), deposit('acc-1', '1.00')]).world.log.slice(1)] };
    expect(checkLedger({ ...world, requireEnded: true })).toMatchObject({ clean: true, sumsJudged: true, notEnded: 0 });
    const verdict = checkLedger(lagging);
    expect(verdict).toMatchObject({ sumsJudged: false, notEnded: 0 });
    expect(formatVerdict(verdict)).toContain('sums of money and stock not judged');
    expect(checkLedger({ ...lagging, requireEnded: true })).toMatchObject({ sumsJudged: false, notEnded: 1 });
  });

  test('a log that no longer reaches back to the start is said to be unchecked', () => {
    const { world, slot } = worldOf();
    const low = 2n;
    const ends = OWNERS.map((_, index) => {
      const records = world.log.filter((record) => record.slot === (index as Slot));
      return { slot: index as Slot, low: index === slot('acc-1') ? low : 0n, high: BigInt(records.length) };
    });
    const log = world.log.filter((record) => record.slot !== (slot('acc-1') as Slot) || record.offset >= low);
    const verdict = checkLedger({ ...world, log, ends });
    expect(verdict).toMatchObject({ clean: false, logTruncated: 1, differencesFound: 1 });
    expect(verdict.differences[0]!.actual).toContain('were not checked');
    expect(formatVerdict(verdict)).toContain('NOT CHECKED');
  });

  test('records that Kafka dropped before they were applied are lost', () => {
    const { world, at, slot } = worldOf([open('acc-1'), deposit('acc-1', '1.00')]);
    at('acc-1').streams.writes.position = { nextOffset: 0n, relayedOffset: 0n };
    const ends = OWNERS.map((_, index) => ({ slot: index as Slot, low: index === slot('acc-1') ? 1n : 0n, high: index === slot('acc-1') ? 2n : 0n }));
    expect(checkLedger({ ...world, log: world.log.slice(1), ends })).toMatchObject({ clean: false, lost: 1 });
  });

  test('a log that could not be read to its end is said so', () => {
    const { world } = worldOf([open('acc-1')]);
    const ends = OWNERS.map((_, index) => ({ slot: index as Slot, low: 0n, high: index === 0 ? 5n : 1n }));
    expect(checkLedger({ ...world, ends }).logUnread).toBeGreaterThan(0);
  });

  test('a record in a slot that its key does not lead to must be parked', () => {
    const { world, slot } = worldOf([open('acc-1')]);
    const other = OWNERS.findIndex((_, index) => index !== slot('acc-1')) as Slot;
    const moved = { ...world.log[0]!, slot: other };
    const { shards } = simulate([], OWNERS);
    const at = shards.find(({ shard }) => shard === OWNERS[other])!.slots.get(other) as unknown as MutableRows;
    at.streams.writes.position = { nextOffset: 1n, relayedOffset: 1n };
    at.streams.writes.parked.push({ offset: 0n, key: 'demo/acc-1', value: moved.value, atMs: moved.timestampMs });
    expect(checkLedger({ owners: OWNERS, log: [moved], shards })).toMatchObject({ clean: true, parked: 1, parkedOnTrust: 0 });
  });
});

describe('what the log alone decides', () => {
  test('a record whose key is not its own id must be parked', () => {
    const [own] = simulate([open('acc-1')], OWNERS).log;
    const slot = slotOf('demo/acc-2', OWNERS.length);
    const record = { ...own!, slot, key: Buffer.from('demo/acc-2') };
    const { shards } = simulate([], OWNERS);
    const at = shards.find(({ shard }) => shard === OWNERS[slot])!.slots.get(slot) as unknown as MutableRows;
    at.streams.writes.position = { nextOffset: 1n, relayedOffset: 1n };
    expect(checkLedger({ owners: OWNERS, log: [record], shards })).toMatchObject({ clean: false, lost: 1 });
    at.streams.writes.parked.push({ offset: 0n, key: 'demo/acc-2', value: record.value, atMs: record.timestampMs });
    expect(checkLedger({ owners: OWNERS, log: [record], shards })).toMatchObject({ clean: true, parked: 1, parkedOnTrust: 0 });
  });
});

describe('receipts', () => {
  const receiptsOf = ({ log }: World, steps: readonly Step[]): { slot: Slot; offset: Offset; digest: ReturnType<typeof digestOf> }[] =>
    log.map(({ slot, offset }, index) => ({ slot, offset, digest: digestOf(steps[index]!.key, steps[index]!.idempotencyKey) }));

  test('every receipt names a record of the log, duplicates and parked ones too', () => {
    const { world } = worldOf();
    expect(checkLedger({ ...world, acked: receiptsOf(world, HISTORY) })).toMatchObject({ clean: true, acked: HISTORY.length });
  });

  test('a receipt that the log does not hold is a lost write', () => {
    const { world } = worldOf();
    const acked = receiptsOf(world, HISTORY);
    acked.push({ ...acked[0]!, offset: 99n as Offset });
    acked[3] = { ...acked[3]!, digest: digestOf('demo/acc-1', 'never sent') };
    expect(checkLedger({ ...world, acked })).toMatchObject({ clean: false, lost: 2 });
  });

  test('two receipts cannot name one record, whichever of them is right, nor a slot that does not exist', () => {
    const { world } = worldOf();
    const [first] = receiptsOf(world, HISTORY);
    const other = { ...first!, digest: digestOf('demo/acc-1', 'another') };
    expect(checkLedger({ ...world, acked: [first!, other] })).toMatchObject({ clean: false, lost: 1 });
    expect(checkLedger({ ...world, acked: [other, first!] }).clean).toBe(false);
    expect(checkLedger({ ...world, acked: [first!, { ...first!, slot: 400 as Slot }] })).toMatchObject({ clean: false, lost: 1 });
  });
});

function structuredCloneOf(rows: SlotRows): MutableRows {
  const stream = (): MutableStream => ({ position: null, journal: [], parked: [] });
  return { ...rows, streams: { writes: stream(), sagas: stream() }, accounts: [], payments: [], orders: [], stock: [], holds: [], sagas: [] };
}
