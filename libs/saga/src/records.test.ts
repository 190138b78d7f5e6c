import { describe, expect, test } from '@jest/globals';
import { commandTo, commandTypes, DEADLINE_SECONDS_MAX, parseSagaId, replyTo, sagaId, type Message, type Participant, type Phase, type SagaRef } from '@millrace/domain';
import { ID_LENGTH_MAX, type RoutingKey } from '@millrace/write';
import fc from 'fast-check';
import { sagaDefinitions, sagaRecordTypes } from './records.ts';
import { nameOfPart } from './saga.ts';
import { createDesk, type Desk } from './testing/desk.ts';
import { START_MS } from './testing/data.ts';

const LINES = [
  { sku: 'a', quantity: 3, unit_price: '2.00' },
  { sku: 'b', quantity: 1, unit_price: '0.50' },
  { sku: 'a', quantity: 2, unit_price: '1.00' },
];
const ORDER = {
  account: 'acc-1',
  currency: 'GBP',
  total: '8.50',
  stock: [
    { sku: 'a', quantity: 5 },
    { sku: 'b', quantity: 1 },
  ],
  deadline_seconds: 60,
};
const TRANSFER = { from: 'acc-1', to: 'acc-2', amount: '5.00', currency: 'GBP', deadline_seconds: 60 };
const returnOf = (id: string, ...lines: readonly (readonly [sku: string, quantity: number])[]) => ({
  return: id,
  lines: lines.map(([sku, quantity]) => ({ sku, quantity })),
  order: { account: 'acc-1', currency: 'GBP', lines: LINES },
});

interface Asked {
  readonly ref: SagaRef;
  readonly participant: Participant;
  readonly phase: Phase;
  readonly attempt: number;
}

function commandOf({ ref, participant, phase, attempt }: Asked): Message {
  return commandTo(ref, participant, { phase, attempt, terms: {} });
}

function replyMessageOf({ ref, participant, phase, attempt }: Asked): Message {
  return replyTo(ref, participant, { phase, attempt, outcome: { done: true } });
}

const commands = (messages: readonly Message[] = []) => messages.map(({ key, type, data }) => [key, type, data]);

function withOpenOrder(): Desk {
  const desk = createDesk();
  desk.record('order.start', ORDER);
  return desk;
}

function withCancelledOrder(): Desk {
  const desk = withOpenOrder();
  desk.answerAll(desk.record('saga.cancel', { saga: 'order', by: 'client' }));
  return desk;
}

function withOrder(): Desk {
  const desk = createDesk();
  desk.answerAll(desk.answerAll(desk.record('order.start', ORDER)));
  return desk;
}

function returned(desk: Desk) {
  const order = desk.saga('order');
  return order?.state === 'confirmed' ? order.returned : undefined;
}

/** A return until it is undone: the payer's account is full. */
function undone(desk: Desk, ...args: Parameters<typeof returnOf>) {
  const asked = desk.record('return.start', returnOf(...args));
  const saga = `return/${args[0]}`;
  const after = desk.record('saga.reply', { saga, kind: 'account', id: 'acc-1', phase: 'hold', done: false, code: 'balance_overflow', detail: { account: 'acc-1' } });
  return { asked, after };
}

describe('starts', () => {
  test('an order charges its account and takes each sku once', () => {
    const desk = createDesk();
    const decision = desk.record('order.start', ORDER);
    const from = { saga: 'demo/ord-1/order', attempt: 0, direction: 'out' };
    expect(commands(decision.messages)).toEqual([
      ['demo/acc-1', 'account.hold', { account: 'acc-1', ...from, amount: '8.50', currency: 'GBP' }],
      ['demo/a', 'stock.hold', { sku: 'a', ...from, quantity: 5 }],
      ['demo/b', 'stock.hold', { sku: 'b', ...from, quantity: 1 }],
    ]);
    expect(decision.detail).toEqual({ saga: 'order', state: 'reserving', after_ms: '0' });
    expect(desk.saga('order')).toMatchObject({ state: 'reserving', dueMs: START_MS + 60_000 });
  });

  test('a transfer takes from one account and keeps room on the other', () => {
    const { messages } = createDesk('demo/tr-1').record('transfer.start', TRANSFER);
    const from = { saga: 'demo/tr-1/transfer', attempt: 0, amount: '5.00', currency: 'GBP' };
    expect(commands(messages)).toEqual([
      ['demo/acc-1', 'account.hold', { account: 'acc-1', ...from, direction: 'out' }],
      ['demo/acc-2', 'account.hold', { account: 'acc-2', ...from, direction: 'in' }],
    ]);
  });

  test('a return pays back and puts back, with the default deadline', () => {
    const { messages } = withOrder().record('return.start', returnOf('r1', ['a', 4]));
    const from = { saga: 'demo/ord-1/return/r1', attempt: 0, direction: 'in' };
    expect(commands(messages)).toEqual([
      ['demo/acc-1', 'account.hold', { account: 'acc-1', ...from, amount: '7.00', currency: 'GBP' }],
      ['demo/a', 'stock.hold', { sku: 'a', ...from, quantity: 4 }],
    ]);
  });

  test.each([
    ['order.start', ORDER, 'order_exists'],
    ['transfer.start', TRANSFER, 'transfer_exists'],
  ] as const)('a second %s is refused and sends nothing', (type, data, code) => {
    const desk = createDesk();
    desk.record(type, data);
    expect(desk.record(type, data)).toEqual({ outcome: 'refused', code });
  });

  test('an order and a transfer of one key are two sagas', () => {
    const desk = createDesk();
    const [order, transfer] = [desk.record('order.start', ORDER), desk.record('transfer.start', TRANSFER)];
    desk.answerAll(desk.answerAll(order));
    expect([desk.saga('order')?.state, desk.saga('transfer')?.state]).toEqual(['confirmed', 'reserving']);
    desk.answerAll(desk.answerAll(transfer));
    expect(desk.saga('transfer')?.state).toBe('confirmed');
  });

  test('an order of the id of its account and its sku asks both, under its own key', () => {
    const desk = createDesk('demo/x');
    const decision = desk.record('order.start', { ...ORDER, account: 'x', stock: [{ sku: 'x', quantity: 1 }] });
    expect(decision.messages?.map(({ key, type }) => `${key} ${type}`)).toEqual(['demo/x account.hold', 'demo/x stock.hold']);
    desk.answerAll(desk.answerAll(decision));
    expect(desk.saga('order')?.state).toBe('confirmed');
  });

  test('every command that a saga sends is one that its participant takes', () => {
    const desk = createDesk();
    let { messages = [] } = desk.record('order.start', { ...ORDER, total: '0.00' });
    for (const phase of ['hold', 'confirm']) {
      expect(messages.map(({ type }) => type.split('.')[1])).toEqual([phase, phase, phase]);
      for (const { type, data } of messages) expect(commandTypes.get(type)?.schema.parse(data)).toEqual(data);
      messages = desk.answerAll({ outcome: 'applied', changes: [], messages }).messages ?? [];
    }
  });

  test('bad data is refused by the schema', () => {
    const desk = createDesk();
    for (const wrong of [{ stock: [] }, { deadline_seconds: 0 }, { stock: [{ sku: 'a', quantity: 0 }] }, { extra: 1 }, { total: 1 }]) {
      expect(() => desk.record('order.start', { ...ORDER, ...wrong })).toThrow();
    }
    expect(() => desk.record('saga.cancel', { saga: 'order', by: 'nobody' })).toThrow();
    expect(() => desk.record('saga.reply', { saga: 'order', kind: 'account', id: 'a', phase: 'hold', done: false })).toThrow();
  });
});

describe('events', () => {
  test('a transition tells its state, the time since the start, and the reason', () => {
    const desk = createDesk();
    const start = desk.record('order.start', ORDER);
    expect(desk.answerAll(start).detail).toEqual({ saga: 'order', state: 'confirming', after_ms: '3' });
    expect(desk.record('saga.retry', { saga: 'order' }).detail).toEqual({ saga: 'order', state: 'confirming', after_ms: '4', attempt: '1' });
    const other = createDesk();
    other.record('order.start', ORDER);
    const refusal = { saga: 'order', kind: 'stock', id: 'a', phase: 'hold', done: false, code: 'insufficient_stock', detail: { sku: 'a', on_hand: '2', short: '3' } };
    const why = { reason: 'insufficient_stock', sku: 'a', on_hand: '2', short: '3' };
    const refused = other.record('saga.reply', refusal);
    expect(refused.detail).toEqual({ saga: 'order', state: 'undoing', after_ms: '1', ...why });
    expect(other.record('saga.retry', { saga: 'order' }).detail).toEqual({ saga: 'order', state: 'undoing', after_ms: '2', attempt: '1', ...why });
    expect(other.answerAll(refused).detail).toEqual({ saga: 'order', state: 'rejected', after_ms: '4', ...why });
  });

  test('a reply between, and a late one, tell nothing', () => {
    const desk = createDesk();
    const [first] = desk.record('order.start', ORDER).messages ?? [];
    for (const changes of [1, 0]) {
      const decision = desk.answerAll({ outcome: 'applied', changes: [], messages: [first!] });
      expect(decision).toMatchObject({ outcome: 'applied', changes: { length: changes } });
      expect(decision).not.toHaveProperty('detail');
      expect(decision).not.toHaveProperty('messages');
    }
  });

  test('a refused cancel has its code, and changes nothing', () => {
    const desk = withOrder();
    expect(desk.record('saga.cancel', { saga: 'order', by: 'client' })).toEqual({ outcome: 'refused', code: 'too_late' });
    expect(desk.record('saga.retry', { saga: 'order' })).toEqual({ outcome: 'refused', code: 'already_ended' });
  });

  test('an event of a saga that never began is refused', () => {
    const desk = createDesk();
    for (const [type, data] of [['saga.cancel', { by: 'client' }], ['saga.retry', {}], ['saga.timeout', { due_ms: 1 }]] as const) {
      for (const saga of ['order', 'return/r1', 'transfer']) expect(desk.record(type, { saga, ...data })).toEqual({ outcome: 'refused', code: 'unknown_order' });
    }
  });

  test('the timer fires by its row and by the log: a timeout of another deadline is late, and so is one before its time', () => {
    const desk = createDesk();
    desk.record('order.start', ORDER);
    expect(desk.record('saga.timeout', { saga: 'order', due_ms: START_MS })).toEqual({ outcome: 'applied', changes: [] });
    expect(desk.record('saga.timeout', { saga: 'order', due_ms: START_MS + 60_000 })).toEqual({ outcome: 'applied', changes: [] });
    desk.pass(60_000);
    expect(desk.record('saga.timeout', { saga: 'order', due_ms: START_MS + 60_000 }).detail).toMatchObject({ state: 'undoing', reason: 'deadline_passed' });
  });

  test('a retry is another attempt in every key that it sends', () => {
    const desk = createDesk();
    const keys = (messages: readonly Message[] = []) => messages.map(({ idempotencyKey }) => idempotencyKey);
    const first = keys(desk.record('order.start', ORDER).messages);
    expect(keys(desk.record('saga.retry', { saga: 'order' }).messages)).toEqual(first.map((key) => `${key}#1`));
    const released = keys(desk.record('saga.cancel', { saga: 'order', by: 'operator' }).messages);
    expect(released).toEqual(first.map((key) => `${key.replace(/hold$/, 'release')}#1`));
  });
});

describe('returns', () => {
  test.each([
    ['that never began', createDesk],
    ['that is still open', withOpenOrder],
    ['that was cancelled', withCancelledOrder],
  ])('of an order %s is refused', (_, make) => {
    expect(make().record('return.start', returnOf('r1', ['a', 1]))).toEqual({ outcome: 'refused', code: 'not_confirmed' });
  });

  test('in parts: each takes from the lines of its sku in their order, at their prices', () => {
    const desk = withOrder();
    const amounts = ([['r1', 2], ['r2', 2], ['r3', 1]] as const).map(([id, quantity]) => {
      const decision = desk.record('return.start', returnOf(id, ['a', quantity]));
      desk.answerAll(desk.answerAll(decision));
      return (decision.messages?.[0]?.data as { amount: string }).amount;
    });
    expect(amounts).toEqual(['4.00', '3.00', '1.00']);
    expect(returned(desk)).toEqual([3, 0, 2]);
    expect(['r1', 'r2', 'r3'].map((id) => desk.saga(`return/${id}`)?.state)).toEqual(['confirmed', 'confirmed', 'confirmed']);
  });

  test('never more than was bought, with those that are still open', () => {
    const desk = withOrder();
    desk.record('return.start', returnOf('r1', ['a', 4]));
    expect(desk.record('return.start', returnOf('r2', ['a', 2]))).toEqual({ outcome: 'refused', code: 'exceeds_bought', detail: { sku: 'a', left: '1' } });
    expect(desk.record('return.start', returnOf('r3', ['b', 1], ['a', 1], ['b', 1]))).toMatchObject({ code: 'exceeds_bought', detail: { sku: 'b', left: '1' } });
    expect(desk.record('return.start', returnOf('r4', ['c', 1]))).toEqual({ outcome: 'refused', code: 'unknown_line', detail: { sku: 'c' } });
    expect(returned(desk)).toEqual([3, 0, 1]);
  });

  test('a sku that stands twice in a return is put back once, with all its units', () => {
    const { messages } = withOrder().record('return.start', returnOf('r1', ['a', 1], ['a', 2]));
    expect(messages?.map(({ data }) => data)).toMatchObject([{ amount: '6.00' }, { sku: 'a', quantity: 3 }]);
  });

  test('an id is used once, also of a return that was undone', () => {
    const desk = withOrder();
    const { after } = undone(desk, 'r1', ['a', 1]);
    desk.answerAll(after);
    expect(desk.record('return.start', returnOf('r1', ['b', 1]))).toEqual({ outcome: 'refused', code: 'return_exists' });
  });

  test('S4: what a return that is undone had claimed is given back when it ends, not before', () => {
    const desk = withOrder();
    desk.record('return.start', returnOf('r1', ['a', 1]));
    const { after } = undone(desk, 'r2', ['a', 4], ['b', 1]);
    expect(returned(desk)).toEqual([3, 1, 2]);
    desk.answerAll(after);
    expect(desk.saga('return/r2')).toMatchObject({ state: 'rejected', cause: { code: 'balance_overflow' } });
    expect(returned(desk)).toEqual([1, 0, 0]);
    expect(desk.record('return.start', returnOf('r3', ['a', 4], ['b', 1])).outcome).toBe('applied');
  });

  test('a return may be cancelled until all is held', () => {
    const desk = withOrder();
    desk.record('return.start', returnOf('r1', ['a', 1]));
    desk.answerAll(desk.record('saga.cancel', { saga: 'return/r1', by: 'operator' }));
    expect(desk.saga('return/r1')?.state).toBe('cancelled');
    expect(returned(desk)).toEqual([0, 0, 0]);
  });

  const line = fc.record({ sku: fc.constantFrom('a', 'b', 'c'), quantity: fc.integer({ min: 1, max: 5 }), unit_price: fc.constantFrom('0.00', '1.50', '20.00') });
  const some = fc.record({ lines: fc.array(fc.record({ sku: fc.constantFrom('a', 'b', 'c'), quantity: fc.integer({ min: 1, max: 4 }) }), { minLength: 1, maxLength: 3 }), ends: fc.constantFrom('confirmed', 'undone', 'open') });

  test('S4: whatever is returned, in however many parts: no line goes below nothing, and all refunds together are what the lines cost', () => {
    fc.assert(
      fc.property(fc.array(line, { minLength: 1, maxLength: 4 }), fc.array(some, { maxLength: 6 }), (lines, returns) => {
        const desk = withOrder();
        const units = lines.map(() => 0);
        for (const [index, { lines: wanted, ends }] of returns.entries()) {
          const decision = desk.record('return.start', { return: `r${index}`, lines: wanted, order: { account: 'acc-1', currency: 'GBP', lines } });
          if (decision.outcome === 'refused') {
            expect(['unknown_line', 'exceeds_bought']).toContain(decision.code);
            continue;
          }
          const saga = desk.saga(`return/r${index}`)!;
          let refund = 0;
          for (const claim of saga.claim!) {
            refund += claim.quantity * Number(lines[claim.line]!.unit_price);
            if (ends !== 'undone') units[claim.line] = units[claim.line]! + claim.quantity;
          }
          const [payee, ...stock] = saga.parts;
          expect(payee).toMatchObject({ kind: 'account', amount: refund.toFixed(2) });
          const put = stock.map((part) => (part.kind === 'stock' ? part.quantity : 0)).reduce((sum, quantity) => sum + quantity, 0);
          expect(put).toBe(wanted.reduce((sum, { quantity }) => sum + quantity, 0));
          if (ends === 'confirmed') desk.answerAll(desk.answerAll(decision));
          if (ends === 'undone') desk.answerAll(desk.record('saga.cancel', { saga: `return/r${index}`, by: 'client' }));
          expect(returned(desk)).toEqual(units);
          expect(units.every((quantity, at) => quantity <= lines[at]!.quantity)).toBe(true);
        }
      }),
    );
  });
});

describe('names and keys', () => {
  const longest = 'x'.repeat(ID_LENGTH_MAX);
  const ref: SagaRef = { key: `${'t'.repeat(32)}/${longest}` as RoutingKey, saga: `return/${longest}` };
  const participants: readonly Participant[] = [
    { kind: 'account', id: longest },
    { kind: 'stock', id: longest },
  ];
  const KEY_LENGTH_MAX = 255;

  test('of the longest ids, in their last attempt: idempotency keys are within 255 characters, and unlike', () => {
    const messages = participants.flatMap((participant) =>
      (['hold', 'confirm', 'release'] as const).flatMap((phase) =>
        [0, 1, Number.MAX_SAFE_INTEGER].flatMap((attempt) => [
          commandTo(ref, participant, { phase, attempt, terms: phase === 'hold' ? { direction: 'in', ...(participant.kind === 'account' ? { amount: '1.00', currency: 'GBP' } : { quantity: 1 }) } : {} }),
          replyTo(ref, participant, { phase, attempt, outcome: { done: true } }),
        ]),
      ),
    );
    for (const { type, idempotencyKey, data } of messages) {
      expect(idempotencyKey.length).toBeLessThanOrEqual(KEY_LENGTH_MAX);
      const schema = commandTypes.get(type)?.schema ?? sagaRecordTypes.get(type)?.schema;
      expect(schema?.parse(data)).toEqual(data);
    }
    expect(new Set(messages.map(({ stream, key, idempotencyKey }) => `${stream} ${key} ${idempotencyKey}`)).size).toBe(messages.length);
  });

  const id = fc.constantFrom('order', 'hold', 'a', 'a#1', 'account', 'return', 'r1', 'from');
  const tenant = fc.constantFrom('demo', 'order', 'return', 'transfer', 'from');
  const reference = fc.record({ key: fc.tuple(tenant, id).map((names) => names.join('/') as RoutingKey), saga: fc.oneof(fc.constantFrom('order', 'transfer'), id.map((name) => `return/${name}`)) });
  const asked = fc.record({ ref: reference, participant: fc.record({ kind: fc.constantFrom('account' as const, 'stock' as const), id }), phase: fc.constantFrom('hold' as const, 'confirm' as const, 'release' as const), attempt: fc.nat(2) });

  test('S1: two messages have one idempotency key in one place only where they say the same', () => {
    fc.assert(
      fc.property(asked, asked, (one, other) => {
        for (const message of [commandOf, replyMessageOf]) {
          const [a, b] = [message(one), message(other)];
          const isOne = a.key === b.key && a.idempotencyKey === b.idempotencyKey;
          expect(isOne).toBe(JSON.stringify(one) === JSON.stringify(other));
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test('S1: in one slot a command and a reply never have one key, although a digest does not tell the streams apart', () => {
    const digest = ({ key, idempotencyKey }: Message) => `${key} ${idempotencyKey}`;
    fc.assert(fc.property(asked, asked, (one, other) => expect(digest(commandOf(one))).not.toBe(digest(replyMessageOf(other)))), { numRuns: 2_000 });
  });

  test('the id of a saga gives the saga again', () => {
    fc.assert(fc.property(reference, (from) => expect(parseSagaId(sagaId(from))).toEqual(from)));
    expect(parseSagaId(sagaId(ref))).toEqual(ref);
  });

  test('every definition has a start of its own, and a deadline within the limit', () => {
    expect(new Set(sagaDefinitions.map(({ start }) => start)).size).toBe(sagaDefinitions.length);
    expect([...sagaRecordTypes.keys()]).toEqual(['order.start', 'return.start', 'transfer.start', 'saga.reply', 'saga.timeout', 'saga.cancel', 'saga.retry']);
    const begun = sagaDefinitions.find(({ kind }) => kind === 'order')!.begin({ ...ORDER, deadline_seconds: DEADLINE_SECONDS_MAX }, undefined);
    expect(begun).toMatchObject({ deadlineSeconds: DEADLINE_SECONDS_MAX });
    if (!('code' in begun)) expect(begun.parts.map(nameOfPart)).toEqual(['account/acc-1', 'stock/a', 'stock/b']);
  });
});
