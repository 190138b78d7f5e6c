/** The three commands of participants, one saga at a time. `interleaving.test.ts` has many at once. */
import { beforeEach, describe, expect, test } from '@jest/globals';
import { account } from '../account/table.ts';
import type { Decision } from '../model.ts';
import type { Direction, Phase } from '../saga/messages.ts';
import { stock } from '../stock/table.ts';
import { createBook, type Book } from '../testing/book.ts';
import { hold } from './table.ts';

const SAGA = 'demo/ord-1/order';
const OTHER = 'demo/ord-2/return/r1';
const FULL = '92233720368547758.07';

let book: Book;
beforeEach(() => {
  book = createBook();
  book.write('account.open', { account: 'a', currency: 'GBP' });
  book.write('account.deposit', { account: 'a', amount: '100', currency: 'GBP' });
  book.write('stock.receive', { sku: 'a', quantity: 10 });
});

interface Asked {
  readonly saga?: string;
  readonly attempt?: number;
  readonly direction?: Direction;
}

function onAccount(phase: Phase, { saga = SAGA, attempt = 0, direction = 'out', amount = '30', currency = 'GBP', id = 'a' }: Asked & { amount?: string; currency?: string; id?: string } = {}): Decision {
  const terms = phase === 'hold' ? { direction, amount, currency } : {};
  return book.write(`account.${phase}`, { account: id, saga, attempt, ...terms });
}

function onStock(phase: Phase, { saga = SAGA, attempt = 0, direction = 'out', quantity = 3, id = 'a' }: Asked & { quantity?: number; id?: string } = {}): Decision {
  const terms = phase === 'hold' ? { direction, quantity } : {};
  return book.write(`stock.${phase}`, { sku: id, saga, attempt, ...terms });
}

const money = () => {
  const { balance, held, incoming } = book.row(account, 'demo/a')!;
  return [balance, held, incoming];
};
const units = () => {
  const { on_hand: onHand, reserved, incoming } = book.row(stock, 'demo/a')!;
  return [onHand, reserved, incoming];
};
const holdOf = (kind: string, saga = SAGA) => book.row(hold, 'demo/a', kind, saga);
const answer = ({ messages }: Decision) => messages?.[0]?.data;

/** Both kinds are the same three commands over another row. */
const KINDS = [
  { kind: 'account', ask: onAccount, pool: money, all: 10_000n, asked: 3_000n },
  { kind: 'stock', ask: onStock, pool: units, all: 10n, asked: 3n },
] as const;

describe.each(KINDS)('escrow of $kind', ({ kind, ask, pool, all, asked }) => {
  test('a hold out keeps, its confirmation takes for good', () => {
    expect(ask('hold').outcome).toBe('applied');
    expect(pool()).toEqual([all - asked, asked, 0n]);
    expect(holdOf(kind)).toEqual({ key: 'demo/a', kind, saga: SAGA, direction: 'out', units: asked, state: 'held' });
    expect(ask('confirm').outcome).toBe('applied');
    expect(pool()).toEqual([all - asked, 0n, 0n]);
    expect(holdOf(kind)).toMatchObject({ units: asked, state: 'confirmed' });
  });

  test('a hold out that is released is as if it had never been', () => {
    ask('hold');
    expect(ask('release').outcome).toBe('applied');
    expect(pool()).toEqual([all, 0n, 0n]);
    expect(holdOf(kind)).toMatchObject({ units: asked, state: 'released' });
  });

  test('a hold in keeps room and is nothing to spend yet; its confirmation brings it', () => {
    ask('hold', { direction: 'in' });
    expect(pool()).toEqual([all, 0n, asked]);
    ask('confirm');
    expect(pool()).toEqual([all + asked, 0n, 0n]);
  });

  test('a hold in that is released gives its room back', () => {
    ask('hold', { direction: 'in' });
    ask('release');
    expect(pool()).toEqual([all, 0n, 0n]);
  });

  test('every command answers its saga, in the slot and under the key of the saga', () => {
    const key = (phase: Phase, attempt: string) => `\u0001return/r1/${kind}/a/${phase}${attempt}`;
    for (const phase of ['hold', 'confirm'] as const) {
      expect(ask(phase, { saga: OTHER }).messages).toEqual([
        { stream: 'sagas', key: 'demo/ord-2', type: 'saga.reply', idempotencyKey: key(phase, ''), data: { saga: 'return/r1', kind, id: 'a', phase, done: true } },
      ]);
    }
    expect(ask('confirm', { saga: OTHER, attempt: 2 }).messages).toMatchObject([{ idempotencyKey: key('confirm', '#2') }]);
  });

  test('S2: a release that comes first leaves a tombstone, and the late hold is refused and keeps nothing', () => {
    expect(answer(ask('release'))).toMatchObject({ done: true });
    expect(holdOf(kind)).toEqual({ key: 'demo/a', kind, saga: SAGA, direction: 'out', units: 0n, state: 'released' });
    const late = ask('hold');
    expect(late).toMatchObject({ outcome: 'refused', code: 'already_released' });
    expect(answer(late)).toMatchObject({ done: false, code: 'already_released' });
    expect(pool()).toEqual([all, 0n, 0n]);
    expect(ask('hold', { saga: OTHER }).outcome).toBe('applied');
  });

  test('S2: a hold that was released is not made again by another attempt', () => {
    ask('hold');
    ask('release');
    expect(ask('hold', { attempt: 1 })).toMatchObject({ outcome: 'refused', code: 'already_released' });
    expect(pool()).toEqual([all, 0n, 0n]);
  });

  test('S1: a command of another attempt is answered by what is done, and changes nothing', () => {
    for (const phase of ['hold', 'confirm'] as const) {
      ask(phase);
      const before = [pool(), holdOf(kind)];
      const again = ask(phase, { attempt: 1 });
      expect(again).toMatchObject({ outcome: 'applied', changes: [] });
      expect(answer(again)).toMatchObject({ phase, done: true });
      expect([pool(), holdOf(kind)]).toEqual(before);
    }
    expect(answer(ask('hold', { attempt: 2 }))).toMatchObject({ phase: 'hold', done: true });
    ask('hold', { saga: OTHER });
    ask('release', { saga: OTHER });
    const before = [pool(), holdOf(kind, OTHER)];
    expect(ask('release', { saga: OTHER, attempt: 1 })).toMatchObject({ outcome: 'applied', changes: [] });
    expect([pool(), holdOf(kind, OTHER)]).toEqual(before);
  });

  test('S4: a confirmation of what is not held, or was released, and a release of what is confirmed are bugs, and change nothing', () => {
    expect(() => ask('confirm')).toThrow('a saga confirms only what is held');
    ask('hold');
    ask('confirm');
    expect(() => ask('release')).toThrow('what is confirmed cannot be released');
    ask('release', { saga: OTHER });
    expect(() => ask('confirm', { saga: OTHER })).toThrow('what is released cannot be confirmed');
    expect(pool()).toEqual([all - asked, 0n, 0n]);
  });

  test('a hold that is refused leaves no row: another attempt may be held', () => {
    ask('hold', { saga: OTHER, quantity: 8, amount: '80' });
    expect(ask('hold').outcome).toBe('refused');
    expect(holdOf(kind)).toBeUndefined();
    ask('release', { saga: OTHER });
    expect(ask('hold', { attempt: 1 }).outcome).toBe('applied');
    expect(pool()).toEqual([all - asked, asked, 0n]);
  });

  test('holds of several sagas add up, and everything may be held', () => {
    ask('hold');
    ask('hold', { saga: OTHER, quantity: 7, amount: '70' });
    expect(pool()).toEqual([0n, all, 0n]);
  });
});

describe('what cannot be held', () => {
  test.each([
    ['an account that does not exist', () => onAccount('hold', { id: 'b' }), 'unknown_account', { account: 'b' }],
    ['an account of another currency', () => onAccount('hold', { currency: 'EUR' }), 'currency_mismatch', { account: 'a', currency: 'GBP' }],
    ['more money than there is', () => onAccount('hold', { amount: '100.01' }), 'insufficient_funds', { account: 'a', balance: '100.00', short: '0.01', currency: 'GBP' }],
    ['more units than there are', () => onStock('hold', { quantity: 12 }), 'insufficient_stock', { sku: 'a', on_hand: '10', short: '2' }],
    ['a sku that never came in', () => onStock('hold', { id: 'b' }), 'insufficient_stock', { sku: 'b', on_hand: '0', short: '3' }],
    ['more room than an account has', () => onAccount('hold', { direction: 'in', amount: FULL }), 'balance_overflow', { account: 'a' }],
  ] as const)('%s: the saga is told why', (_, ask, code, detail) => {
    const before = new Map(book.rows);
    const decision = ask();
    expect(decision).toMatchObject({ outcome: 'refused', code, detail });
    expect(answer(decision)).toMatchObject({ phase: 'hold', done: false, code, detail });
    expect(book.rows).toEqual(before);
  });

  test('zero stock: what was sold out refuses with nothing on hand', () => {
    onStock('hold', { quantity: 10 });
    onStock('confirm');
    expect(onStock('hold', { saga: OTHER, quantity: 1 })).toMatchObject({ code: 'insufficient_stock', detail: { on_hand: '0', short: '1' } });
  });

  test('room: what is available, kept and expected fits a bigint together, to the last unit', () => {
    onAccount('hold');
    expect(onAccount('hold', { saga: OTHER, direction: 'in', amount: '92233720368547658.08' }).outcome).toBe('refused');
    expect(onAccount('hold', { saga: OTHER, direction: 'in', amount: '92233720368547658.07' }).outcome).toBe('applied');
    expect(book.outcome('account.deposit', { account: 'a', amount: '0.01', currency: 'GBP' })).toBe('balance_overflow');
    onAccount('release');
    onAccount('confirm', { saga: OTHER });
    expect(money()).toEqual([2n ** 63n - 1n, 0n, 0n]);
  });

  test('room of stock: returns that would pass the range of a bigint together are refused', () => {
    const huge = Number.MAX_SAFE_INTEGER;
    for (let n = 0; n < 1_024; n++) expect(onStock('hold', { saga: `demo/o${n}/order`, direction: 'in', quantity: huge }).outcome).toBe('applied');
    expect(onStock('hold', { direction: 'in', quantity: huge })).toMatchObject({ code: 'stock_overflow', detail: { sku: 'a' } });
    // 2^63 - 1, less 1,024 times 2^53 - 1, less the 10 units on hand.
    expect(onStock('hold', { direction: 'in', quantity: 1_014 })).toMatchObject({ code: 'stock_overflow' });
    expect(onStock('hold', { direction: 'in', quantity: 1_013 }).outcome).toBe('applied');
    expect(book.outcome('stock.receive', { sku: 'a', quantity: 1 })).toBe('stock_overflow');
  });

  test('an order of nothing but gifts holds no money, and still needs an account of its currency', () => {
    expect(onAccount('hold', { amount: '0' }).outcome).toBe('applied');
    expect(onAccount('confirm').outcome).toBe('applied');
    expect(money()).toEqual([10_000n, 0n, 0n]);
    expect(onAccount('hold', { saga: OTHER, amount: '0', id: 'b' }).outcome).toBe('refused');
  });
});

describe('an account and a sku of the same id', () => {
  test('in one saga each have a hold of their own', () => {
    onAccount('hold');
    onStock('hold');
    onAccount('confirm');
    expect([money(), units()]).toEqual([
      [7_000n, 0n, 0n],
      [7n, 3n, 0n],
    ]);
    onStock('release');
    expect([holdOf('account')?.state, holdOf('stock')?.state]).toEqual(['confirmed', 'released']);
    expect([money(), units()]).toEqual([
      [7_000n, 0n, 0n],
      [10n, 0n, 0n],
    ]);
  });

  test('answer under keys of their own', () => {
    expect(onAccount('hold').messages?.[0]?.idempotencyKey).not.toBe(onStock('hold').messages?.[0]?.idempotencyKey);
  });
});

describe('the data of commands', () => {
  const hostile = ['', 'demo', 'demo/a', 'demo/a/', '/a/order', 'demo//order', 'DEMO/a/order', `demo/a/${'x'.repeat(240)}`, 7, null];
  test.each(hostile)('%j is no saga', (saga) => {
    expect(() => book.write('account.release', { account: 'a', saga, attempt: 0 })).toThrow();
    expect(() => book.write('stock.confirm', { sku: 'a', saga, attempt: 0 })).toThrow();
  });

  test('a hold has a direction, terms, and no field beside', () => {
    const command = { sku: 'a', saga: SAGA, attempt: 0, direction: 'out', quantity: 1 };
    for (const wrong of [{ direction: 'up' }, { quantity: 0 }, { quantity: 1.5 }, { attempt: -1 }, { amount: '1' }, { sku: 'a/b' }]) {
      expect(() => book.write('stock.hold', { ...command, ...wrong })).toThrow();
    }
    expect(book.outcome('stock.hold', command)).toBe('applied');
  });
});
