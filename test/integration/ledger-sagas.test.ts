/** The ledger checker over sagas: against the real folds, whatever comes in whatever order, and against planted faults. */
import { describe, expect, test } from '@jest/globals';
import { checkLedger, formatVerdict, KINDS, type HoldRow, type JournalRow, type SagaRow, type SlotRows, type StreamRows, type Verdict } from '@millrace/ledger';
import { slotOf } from '@millrace/ring';
import type { ShardId, Stream } from '@millrace/write';
import fc from 'fast-check';
import { realFolds, STREAMS, type Mutable } from './real-folds.ts';

const OWNERS = ['a', 'b', 'a', 'b'] as ShardId[];
type Folds = ReturnType<typeof realFolds>;
type Step = (folds: Folds) => void;

/** So that participants, orders and transfers meet, and an account and a sku share a key. */
const account = fc.constantFrom('acc-1', 'acc-2', 'both');
const sku = fc.constantFrom('sku-1', 'sku-2', 'both');
const order = fc.constantFrom('ord-1', 'ord-2', 'ord-3', 'ord-4');
const amount = fc.constantFrom('0.00', '1.00', '2.50', '7.00', '40.00');
const paid = fc.constantFrom('1.00', '2.50', '7.00', '40.00');
const currency = fc.constantFrom('GBP', 'GBP', 'GBP', 'GBP', 'GBP', 'EUR');
const quantity = fc.integer({ min: 1, max: 6 });
const stream = fc.constantFrom<Stream>('writes', 'sagas');
const slot = fc.nat({ max: OWNERS.length - 1 });
const anySaga = fc.oneof(
  order.map((id) => ({ key: `demo/${id}`, saga: 'order' })),
  fc.tuple(order, fc.constantFrom('r1', 'r2')).map(([id, name]) => ({ key: `demo/${id}`, saga: `return/${name}` })),
  fc.constantFrom('tr-1', 'tr-2').map((id) => ({ key: `demo/${id}`, saga: 'transfer' })),
);

function write<D extends object>(type: string, id: (data: D) => string, data: fc.Arbitrary<D>): fc.Arbitrary<Step> {
  return fc.tuple(data, fc.nat({ max: 60 })).map(([body, key]) => (folds) => folds.send('writes', `demo/${id(body)}`, type, body, `key-${key}`));
}

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: write('account.open', (d) => d.account, fc.record({ account, currency })) },
  { weight: 3, arbitrary: write('account.deposit', (d) => d.account, fc.record({ account, amount: paid, currency })) },
  { weight: 1, arbitrary: write('payment.authorize', (d) => d.account, fc.record({ payment: fc.constantFrom('p1', 'p2'), account, amount: paid, currency })) },
  { weight: 1, arbitrary: write('payment.void', (d) => d.account, fc.record({ payment: fc.constantFrom('p1', 'p2'), account })) },
  { weight: 3, arbitrary: write('stock.receive', (d) => d.sku, fc.record({ sku, quantity: fc.integer({ min: 1, max: 12 }) })) },
  { weight: 5, arbitrary: write('order.place', (d) => d.order, fc.record({ order, account, currency, lines: fc.array(fc.record({ sku, quantity, unit_price: amount }), { minLength: 1, maxLength: 4 }), deadline_seconds: fc.constantFrom(1, 60) }, { requiredKeys: ['order', 'account', 'currency', 'lines'] })) },
  { weight: 2, arbitrary: write('order.cancel', (d) => d.order, fc.record({ order })) },
  { weight: 4, arbitrary: write('order.return', (d) => d.order, fc.record({ order, return: fc.constantFrom('r1', 'r2'), lines: fc.array(fc.record({ sku, quantity }), { minLength: 1, maxLength: 2 }) }, { requiredKeys: ['order', 'lines'] })) },
  { weight: 3, arbitrary: write('transfer.place', (d) => d.transfer, fc.record({ transfer: fc.constantFrom('tr-1', 'tr-2'), from: account, to: account, amount: paid, currency })) },
  { weight: 1, arbitrary: write('account.release', (d) => d.account, fc.record({ account, saga: fc.constant('demo/ord-1/order'), attempt: fc.constant(0) })) },
  { weight: 1, arbitrary: fc.tuple(anySaga, fc.nat()).map(([{ key, saga }, id]) => (folds: Folds) => folds.send('sagas', key, 'saga.cancel', { saga, by: 'operator' }, `\u0001cancel-${id}`)) },
  { weight: 2, arbitrary: fc.tuple(anySaga, fc.nat()).map(([{ key, saga }, id]) => (folds: Folds) => folds.send('sagas', key, 'saga.retry', { saga }, `\u0001retry-${id}`)) },
  { weight: 1, arbitrary: fc.tuple(anySaga, fc.nat()).map(([{ key, saga }, id]) => (folds: Folds) => folds.send('sagas', key, 'saga.pause', { saga }, `\u0001pause-${id}`)) },
  { weight: 2, arbitrary: fc.tuple(stream, anySaga, fc.constantFrom('retry', 'skip'), fc.nat()).map(([of, { key }, action, id]) => (folds: Folds) => folds.send(of, key, 'parked.release', { action }, `\u0001release-${id}`)) },
  { weight: 2, arbitrary: fc.nat().map((pick) => (folds: Folds) => { const timers = folds.timers(); if (timers.length > 0) folds.fire(timers[pick % timers.length]!, { isEarly: pick % 3 === 0 }); }) },
  { weight: 14, arbitrary: fc.tuple(stream, slot, fc.integer({ min: 1, max: 4 })).map(([of, at, count]) => (folds: Folds) => void folds.apply(of, at, count)) },
  { weight: 14, arbitrary: fc.tuple(stream, slot, fc.nat({ max: 3 })).map(([of, at, chance]) => (folds: Folds) => void folds.relay(of, at, { isNoted: chance > 0 })) },
);

/** Histories begin with some money and stock, so that orders come through. */
const anyHistory = fc.array(anyStep, { minLength: 1, maxLength: 160, size: 'max' }).map((steps): readonly Step[] => [funded, ...steps]);

function funded(folds: Folds): void {
  for (const id of ['acc-1', 'acc-2', 'both']) {
    folds.send('writes', `demo/${id}`, 'account.open', { account: id, currency: 'GBP' });
    folds.send('writes', `demo/${id}`, 'account.deposit', { account: id, amount: '60.00', currency: 'GBP' });
  }
  for (const id of ['sku-1', 'sku-2', 'both']) folds.send('writes', `demo/${id}`, 'stock.receive', { sku: id, quantity: 10 });
}

function run(steps: readonly Step[]): Folds {
  const folds = realFolds(OWNERS);
  for (const step of steps) step(folds);
  return folds;
}

/** All differences but those that say that records wait to be applied. */
function faults(verdict: Verdict): readonly string[] {
  return Object.entries(KINDS).flatMap(([kind, name]) => (verdict[name] > 0 && kind !== 'not_yet_applied' ? [`${kind}: ${formatVerdict(verdict)}`] : []));
}

describe('the real folds of orders, returns and transfers', () => {
  test('are clean at any instant, whatever waits to be applied or published, comes again or is released', () => {
    const ended = { confirmed: 0, rejected: 0, cancelled: 0 };
    fc.assert(
      fc.property(anyHistory, (steps) => {
        const folds = run(steps);
        expect(faults(checkLedger(folds.world()))).toEqual([]);
        folds.drain();
        const verdict = checkLedger(folds.world());
        expect(faults(verdict)).toEqual([]);
        for (const counts of [verdict.orders, verdict.returns, verdict.transfers]) for (const name of Object.keys(ended) as (keyof typeof ended)[]) ended[name] += counts[name];
      }),
      { numRuns: 150 },
    );
    // A history in which nothing ends would show nothing.
    expect(Math.min(...Object.values(ended))).toBeGreaterThan(0);
  });
});

type MutableRows = { -readonly [Table in keyof SlotRows]: SlotRows[Table] extends readonly (infer Row)[] ? Mutable<Row>[] : SlotRows[Table] } & {
  streams: Record<Stream, { position: StreamRows['position']; journal: Mutable<JournalRow>[] }>;
};

/** Of two accounts and two skus: an order that is confirmed and one that is returned in part, one rejected, one cancelled, a transfer. */
function history(last: Step = () => undefined): Folds {
  const folds = run([funded]);
  const place = (order: string, quantity: number): void =>
    folds.send('writes', `demo/${order}`, 'order.place', { order, account: 'acc-1', currency: 'GBP', lines: [{ sku: 'sku-1', quantity, unit_price: '2.00' }, { sku: 'sku-2', quantity: 1, unit_price: '1.00' }] });
  place('ord-1', 3);
  place('ord-2', 99);
  folds.drain();
  folds.send('writes', 'demo/ord-1', 'order.return', { order: 'ord-1', return: 'r1', lines: [{ sku: 'sku-1', quantity: 2 }] });
  folds.send('writes', 'demo/tr-1', 'transfer.place', { transfer: 'tr-1', from: 'acc-1', to: 'acc-2', amount: '5.00', currency: 'GBP' });
  place('ord-3', 1);
  folds.send('writes', 'demo/ord-3', 'order.cancel', { order: 'ord-3' });
  // The cancel finds a saga that still reserves.
  folds.apply('writes', slotOf('demo/ord-3', OWNERS.length));
  folds.relay('writes', slotOf('demo/ord-3', OWNERS.length));
  folds.apply('sagas', slotOf('demo/ord-3', OWNERS.length));
  folds.drain();
  last(folds);
  return folds;
}

/** The world of that history, with the rows of the slot that an id lies in. */
function worldOf(folds: Folds = history()): { world: ReturnType<Folds['world']>; at: (id: string) => MutableRows } {
  const world = folds.world();
  return { world, at: (id) => world.shards.flatMap(({ slots }) => [...slots]).find(([slot]) => slot === slotOf(`demo/${id}`, OWNERS.length))![1] as MutableRows };
}

function holdOf(rows: MutableRows, saga: string, kind = 'stock'): Mutable<HoldRow> {
  return rows.holds.find((hold) => hold.saga === saga && hold.kind === kind)!;
}

function sagaOf(rows: MutableRows, saga: string): Mutable<SagaRow> & { body: Record<string, unknown> } {
  return rows.sagas.find(({ key, saga: name }) => `${key}/${name}` === saga) as Mutable<SagaRow> & { body: Record<string, unknown> };
}

function messagesRow(rows: MutableRows, stream: Stream, type: string): Mutable<JournalRow> {
  return rows.streams[stream].journal.find((row) => row.type === type && row.messages !== null)!;
}

describe('a history of orders, a return and a transfer', () => {
  test('is clean, and every saga of it is counted by its end', () => {
    const verdict = checkLedger({ ...worldOf().world, requireEnded: true });
    expect(verdict).toMatchObject({
      clean: true,
      orders: { confirmed: 1, rejected: 1, cancelled: 1, open: 0 },
      returns: { confirmed: 1, rejected: 0, cancelled: 0, open: 0 },
      transfers: { confirmed: 1, rejected: 0, cancelled: 0, open: 0 },
      openSagas: [],
      heldForOpen: 0,
      messagesUnderWay: 0,
      sumsJudged: true,
    });
    expect(formatVerdict(verdict)).not.toContain('not judged');
    expect(formatVerdict(verdict)).toContain('orders: 1 confirmed, 1 rejected, 1 cancelled, 0 open; returns: 1 confirmed');
  });

  test('shows what is open, and what is held for it; on request that is a fault', () => {
    const { world } = worldOf(history((folds) => {
      folds.send('writes', 'demo/tr-2', 'transfer.place', { transfer: 'tr-2', from: 'acc-1', to: 'acc-2', amount: '1.00', currency: 'GBP' });
      for (const [stream, id] of [['writes', 'tr-2'], ['sagas', 'tr-2'], ['writes', 'acc-1']] as const) {
        folds.apply(stream, slotOf(`demo/${id}`, OWNERS.length));
        folds.relay(stream, slotOf(`demo/${id}`, OWNERS.length));
      }
      // All is applied, and a reply is on its way for ever: its relay does not run.
      for (const stream of STREAMS) for (const slot of OWNERS.keys()) folds.apply(stream, slot);
    }));
    const verdict = checkLedger(world);
    expect(verdict).toMatchObject({ clean: true, transfers: { confirmed: 1, open: 1 } });
    expect(verdict.heldForOpen).toBeGreaterThan(0);
    expect(verdict.openSagas).toMatchObject([{ saga: 'demo/tr-2/transfer' }]);
    expect(verdict.sumsJudged).toBe(false);
    expect(formatVerdict(verdict).split('\n')[0]).toContain('sums of money and stock not judged');
    expect(formatVerdict(verdict)).toMatch(/ {2}open: demo\/tr-2\/transfer, \w+ since .*, waits for account\/acc-/);
    const strict = checkLedger({ ...world, requireEnded: true });
    expect(strict.clean).toBe(false);
    expect(strict.notEnded).toBeGreaterThan(0);
  });

  const order: Step = (folds) => folds.send('writes', 'demo/ord-8', 'order.place', { order: 'ord-8', account: 'acc-1', currency: 'GBP', lines: [{ sku: 'sku-1', quantity: 1, unit_price: '1.00' }] });
  const giveBack: Step = (folds) => folds.send('writes', 'demo/ord-1', 'order.return', { order: 'ord-1', return: 'r8', lines: [{ sku: 'sku-1', quantity: 1 }] });
  const transfer: Step = (folds) => folds.send('writes', 'demo/tr-8', 'transfer.place', { transfer: 'tr-8', from: 'acc-1', to: 'acc-2', amount: '1.00', currency: 'GBP' });
  const kinds: [of: 'orders' | 'returns' | 'transfers', key: string, take: Step][] = [['orders', 'demo/ord-8', order], ['returns', 'demo/ord-1', giveBack], ['transfers', 'demo/tr-8', transfer]];
  const left = (folds: Folds): readonly string[] => checkLedger({ ...folds.world(), requireEnded: true }).differences.map(({ kind, stream, key, actual }) => `${kind} ${stream} ${key}: ${actual}`);

  test.each(kinds)('the start of one of its %s that was delivered, and lies parked, has not ended', (of, key, take) => {
    const folds = history();
    folds.send('sagas', key, 'saga.pause', { saga: 'order' }, '\u0001pause-8');
    take(folds);
    folds.drain();
    expect(checkLedger(folds.world())).toMatchObject({ clean: true, messagesUnderWay: 0, [of]: { open: 1 } });
    expect(left(folds)).toEqual([`not_ended writes ${key}: no saga: its start did not arrive, or is parked`, `not_ended sagas ${key}: the key is parked, with 2 records`]);
    folds.send('sagas', key, 'parked.release', { action: 'skip' }, '\u0001release-8');
    folds.drain();
    expect(left(folds)).toEqual([]);
  });

  test.each(kinds)('one of its %s whose start did not arrive has not ended', (_, key, take) => {
    const folds = history();
    take(folds);
    folds.apply('writes', slotOf(key, OWNERS.length));
    expect(left(folds)).toEqual([`not_ended writes ${key}: no saga: its start did not arrive, or is parked`, 'not_ended undefined undefined: 1 messages that no topic holds yet']);
  });

  test('a return that its saga refuses has ended', () => {
    const folds = history();
    folds.send('writes', 'demo/ord-1', 'order.return', { order: 'ord-1', return: 'r8', lines: [{ sku: 'sku-1', quantity: 9 }] });
    folds.drain();
    expect(left(folds)).toEqual([]);
  });

  test('a command that lies parked has not ended; a write that does, is nobody’s saga', () => {
    const folds = history();
    folds.append('writes', 'demo/acc-2', 'no JSON');
    folds.send('writes', 'demo/acc-2', 'account.deposit', { account: 'acc-2', amount: '1.00', currency: 'GBP' });
    folds.drain();
    expect(left(folds)).toEqual([]);
    transfer(folds);
    folds.drain();
    expect(left(folds)).toEqual(expect.arrayContaining(['not_ended writes demo/acc-2: the key is parked, with 4 records']));
  });
});

describe('a planted fault', () => {
  test.each<[fault: string, kinds: readonly (keyof Verdict)[], spoil: (at: (id: string) => MutableRows, world: ReturnType<Folds['world']>) => void]>([
    ['escrow that nobody gave back', ['wrongHold', 'unsettled', 'wrongEscrow'], (at) => (holdOf(at('sku-2'), 'demo/ord-3/order').state = 'held')],
    ['a hold that is confirmed for a saga that was undone', ['wrongHold', 'unsettled'], (at) => (holdOf(at('sku-2'), 'demo/ord-2/order').state = 'confirmed')],
    ['a hold that is released for a saga that was confirmed', ['wrongHold', 'unsettled'], (at) => (holdOf(at('acc-1'), 'demo/ord-1/order', 'account').state = 'released')],
    ['a hold of other units', ['wrongHold', 'unsettled'], (at) => (holdOf(at('sku-1'), 'demo/ord-1/order').units += 1n)],
    ['a hold that is gone', ['wrongHold', 'unsettled'], (at) => (at('sku-1').holds = [])],
    ['a hold that no saga asked for', ['wrongHold', 'unsettled'], (at) => at('sku-1').holds.push({ ...holdOf(at('sku-1'), 'demo/ord-1/order'), saga: 'demo/ord-9/order' })],
    ['a confirmation that took twice', ['wrongStock', 'notConserved'], (at) => (at('sku-1').stock.find(({ key }) => key === 'demo/sku-1')!.onHand -= 3n)],
    ['money that is made', ['wrongBalance', 'notConserved'], (at) => (at('acc-2').accounts.find(({ key }) => key === 'demo/acc-2')!.balance += 500n)],
    ['money that is held and stays', ['wrongBalance', 'notConserved', 'wrongEscrow'], (at) => (at('acc-1').accounts.find(({ key }) => key === 'demo/acc-1')!.held += 700n)],
    ['a saga in another state', ['wrongSaga'], (at) => (sagaOf(at('ord-1'), 'demo/ord-1/order').state = 'confirming')],
    ['a saga that is gone', ['wrongSaga'], (at) => (at('ord-2').sagas = at('ord-2').sagas.filter(({ key }) => key !== 'demo/ord-2'))],
    ['a timer that should be off', ['wrongSaga'], (at) => (sagaOf(at('ord-1'), 'demo/ord-1/order').dueMs = 5n)],
    ['units that were not returned', ['wrongSaga'], (at) => (sagaOf(at('ord-1'), 'demo/ord-1/order').body.returned = [3, 0])],
    ['another reason of a rejection', ['wrongSaga'], (at) => (sagaOf(at('ord-2'), 'demo/ord-2/order').body.cause = { code: 'deadline_passed' })],
    ['a time at which nothing happened', ['wrongSaga'], (at) => (sagaOf(at('tr-1'), 'demo/tr-1/transfer').changedMs += 1n)],
    ['a journal row that lost its messages', ['wrongMessage'], (at) => (messagesRow(at('ord-1'), 'sagas', 'order.start').messages = null)],
    ['a reply that says otherwise', ['wrongMessage'], (at) => {
      const row = messagesRow(at('sku-1'), 'writes', 'stock.hold');
      row.messages = (row.messages as readonly Record<string, unknown>[]).map((message) => ({ ...message, data: { ...(message.data as object), done: 'maybe' } }));
    }],
    ['a transition that tells another state', ['wrongRow'], (at) => (messagesRow(at('ord-1'), 'sagas', 'order.start').facts = { saga: 'order', state: 'confirming', after_ms: '0' })],
    ['a row of stream sagas that is gone', ['lost'], (at) => at('ord-1').streams.sagas.journal.pop()],
    ['a position of stream sagas beyond its log', ['wrongPosition'], (at) => (at('ord-1').streams.sagas.position = { nextOffset: 999n, relayedOffset: 0n })],
  ])('%s', (_, kinds, spoil) => {
    const { world, at } = worldOf();
    spoil(at, world);
    const verdict = checkLedger(world);
    expect(verdict.clean).toBe(false);
    const found = Object.values(KINDS).filter((name) => verdict[name] > 0);
    expect(found).toEqual(expect.arrayContaining([...kinds]));
    expect(formatVerdict(verdict)).toContain('NOT CLEAN');
  });

  test('a message that was relayed, and is in no topic', () => {
    const { world } = worldOf(history((folds) => folds.send('writes', 'demo/tr-2', 'transfer.place', { transfer: 'tr-2', from: 'acc-1', to: 'acc-2', amount: '1.00', currency: 'GBP' })));
    const slot = slotOf('demo/tr-2', OWNERS.length);
    const lossy = history((folds) => {
      folds.send('writes', 'demo/tr-2', 'transfer.place', { transfer: 'tr-2', from: 'acc-1', to: 'acc-2', amount: '1.00', currency: 'GBP' });
      folds.apply('writes', slot);
      folds.slots[slot]!.writes.relayed = folds.slots[slot]!.writes.next;
    });
    expect(faults(checkLedger(world))).toEqual([]);
    expect(checkLedger(lossy.world())).toMatchObject({ clean: false, lostMessage: 1, differencesFound: 1 });
  });

  test('a command that no saga sent, though its participant has obeyed it', () => {
    const folds = history((forged) => forged.send('writes', 'demo/sku-1', 'stock.hold', { sku: 'sku-1', saga: 'demo/ord-7/order', attempt: 0, direction: 'out', quantity: 1 }, '\u0001demo/ord-7/order/stock/hold'));
    folds.drain();
    const verdict = checkLedger(folds.world());
    expect(verdict).toMatchObject({ clean: false, wrongHold: 0, inventedMessage: 1, unsettled: 1 });
    expect(verdict.differences.find(({ kind }) => kind === 'invented_message')).toMatchObject({ stream: 'writes', slot: slotOf('demo/sku-1', OWNERS.length) });
  });

  test('a saga that moved by a reply that nobody gave', () => {
    const folds = history((forged) => {
      forged.send('writes', 'demo/ord-4', 'order.place', { order: 'ord-4', account: 'acc-1', currency: 'GBP', lines: [{ sku: 'sku-1', quantity: 1, unit_price: '1.00' }] });
      const slot = slotOf('demo/ord-4', OWNERS.length);
      forged.apply('writes', slot);
      forged.relay('writes', slot);
      forged.send('sagas', 'demo/ord-4', 'saga.reply', { saga: 'order', kind: 'account', id: 'acc-1', phase: 'hold', done: true }, '\u0001order/account/acc-1/hold#9');
      forged.drain();
    });
    expect(checkLedger(folds.world())).toMatchObject({ clean: false, wrongSaga: 0, inventedMessage: 1 });
  });

  test('a saga that moved twice by one reply', () => {
    const folds = history();
    const { world, at } = worldOf(folds);
    const rows = at('ord-1').streams.sagas;
    const reply = rows.journal.find(({ type, messages }) => type === 'saga.reply' && messages !== null)!;
    rows.journal.push({ ...reply, offset: reply.offset + 1000n });
    expect(checkLedger(world)).toMatchObject({ clean: false, doubled: 1 });
  });

  test('rows of sagas and holds on a shard that does not hold their slot', () => {
    const { world, at } = worldOf();
    const foreign = { ...structuredClone(at('ord-1')), slotState: null, streams: { writes: NONE, sagas: NONE }, accounts: [], payments: [], orders: [], stock: [] };
    const other = world.shards.find(({ slots }) => !slots.has(slotOf('demo/ord-1', OWNERS.length)))!;
    other.slots.set(slotOf('demo/ord-1', OWNERS.length), foreign);
    expect(checkLedger(world).wrongShard).toBe(foreign.sagas.length + foreign.holds.length);
  });

  test('any row of a saga or a hold that is taken away, and any of its fields that is changed, is seen', () => {
    fc.assert(
      fc.property(anyHistory, fc.nat(), fc.boolean(), (steps, pick, isRemoved) => {
        const world = run(steps.concat((folds) => folds.drain())).world();
        const lists = world.shards.flatMap(({ slots }) => [...slots.values()].flatMap((rows) => [rows.holds, rows.sagas, rows.streams.sagas.journal].filter((list) => list.length > 0)));
        fc.pre(lists.length > 0);
        const list = lists[pick % lists.length] as unknown as Record<string, unknown>[];
        const index = pick % list.length;
        const names = Object.keys(list[index]!).filter((name) => ['string', 'bigint'].includes(typeof list[index]![name]) && name !== 'digest');
        const name = names[pick % names.length]!;
        if (isRemoved) list.splice(index, 1);
        else list[index]![name] = typeof list[index]![name] === 'bigint' ? (list[index]![name]) + 1n : `${String(list[index]![name])}x`;
        expect(checkLedger(world).clean).toBe(false);
      }),
      { numRuns: 100 },
    );
  });
});

const NONE = { position: null, journal: [], parked: [] };
