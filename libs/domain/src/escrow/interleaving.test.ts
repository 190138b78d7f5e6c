/** S4 over many sagas that share one pool: whatever the interleaving, nothing is lost, made or owed. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { account } from '../account/table.ts';
import { payment as paymentTable } from '../payment/table.ts';
import type { Direction, Phase } from '../saga/messages.ts';
import { stock } from '../stock/table.ts';
import { createBook, type Book } from '../testing/book.ts';
import { hold, type HoldRow } from './table.ts';

const SAGAS = 5;
const KINDS = ['account', 'stock'] as const;
type Kind = (typeof KINDS)[number];

interface Terms {
  readonly direction: Direction;
  readonly units: number;
}
type Event = { readonly is: 'command'; readonly saga: number; readonly phase: Phase; readonly attempt: number } | { readonly is: 'receipt'; readonly units: number };

const terms = fc.array(fc.record({ direction: fc.constantFrom<Direction>('out', 'out', 'in'), units: fc.integer({ min: 1, max: 40 }) }), { minLength: SAGAS, maxLength: SAGAS });
const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ is: fc.constant('command' as const), saga: fc.nat(SAGAS - 1), phase: fc.constantFrom<Phase>('hold', 'hold', 'confirm', 'release'), attempt: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ is: fc.constant('receipt' as const), units: fc.integer({ min: 1, max: 60 }) }) },
);

describe.each(KINDS)('S4: sagas that share one pool of %s', (kind) => {
  test('whatever their commands interleave to, confirm and release succeed, and the pool is conserved with what is held', () => {
    fc.assert(
      fc.property(terms, fc.array(event, { maxLength: 60, size: 'max' }), (asked, events) => {
        const book = createBook();
        open(book, kind);
        let received = 0n;
        for (const each of events) {
          if (each.is === 'receipt') received += receive(book, kind, each.units);
          else if (isAllowed(book, kind, each)) {
            const decision = command(book, kind, each, asked[each.saga]!);
            if (each.phase !== 'hold') expect(decision.outcome).toBe('applied');
            expect(decision.messages).toHaveLength(1);
          }
          expectConserved(book, kind, received);
        }
        // Everything ends: what is held is released, and nothing stays kept.
        for (let saga = 0; saga < SAGAS; saga++) {
          if (holdOf(book, kind, saga)?.state === 'held') command(book, kind, { saga, phase: 'release', attempt: 0 }, asked[saga]!);
        }
        expectConserved(book, kind, received);
        expect(poolOf(book, kind)).toMatchObject({ kept: 0n, incoming: 0n });
      }),
    );
  });

  test('escrow commutes: confirmations and releases of what is held give the same rows in any order', () => {
    const ends = fc.array(fc.constantFrom<Phase>('confirm', 'release'), { minLength: SAGAS, maxLength: SAGAS });
    const order = fc.shuffledSubarray([0, 1, 2, 3, 4], { minLength: SAGAS, maxLength: SAGAS });
    fc.assert(
      fc.property(terms, ends, order, (asked, phases, shuffled) => {
        const settled = (sagas: readonly number[]) => {
          const book = createBook();
          open(book, kind);
          receive(book, kind, 200);
          for (let saga = 0; saga < SAGAS; saga++) command(book, kind, { saga, phase: 'hold', attempt: 0 }, asked[saga]!);
          for (const saga of sagas) expect(command(book, kind, { saga, phase: phases[saga]!, attempt: 0 }, asked[saga]!).outcome).toBe('applied');
          return book.rows;
        };
        expect(settled(shuffled)).toEqual(settled([0, 1, 2, 3, 4]));
      }),
    );
  });
});

describe('S4: payments and sagas on one account', () => {
  const payment = fc.record({
    type: fc.constantFrom('payment.authorize', 'payment.authorize', 'payment.capture', 'payment.void', 'payment.refund'),
    payment: fc.constantFrom('p', 'q'),
    amount: fc.integer({ min: 1, max: 30 }).map(String),
  });
  const mixed = fc.oneof(event, payment);

  test('each keeps its own part of what is held, and the balance is conserved with both', () => {
    fc.assert(
      fc.property(terms, fc.array(mixed, { maxLength: 60, size: 'max' }), (asked, events) => {
        const book = createBook();
        open(book, 'account');
        let received = 0n;
        for (const each of events) {
          if ('type' in each) book.write(each.type, { payment: each.payment, account: 'p', ...termsOf(each) });
          else if (each.is === 'receipt') received += receive(book, 'account', each.units);
          else if (isAllowed(book, 'account', each)) command(book, 'account', each, asked[each.saga]!);
          const payments = ['p', 'q'].flatMap((id) => book.row(paymentTable, 'demo/p', id) ?? []);
          const authorized = payments.reduce((sum, row) => sum + row.authorized - row.captured - row.released, 0n);
          const paid = payments.reduce((sum, row) => sum + row.captured - row.refunded, 0n);
          expectConserved(book, 'account', received - paid, authorized);
        }
      }),
    );
  });

  function termsOf({ type, amount }: { readonly type: string; readonly amount: string }): object {
    if (type === 'payment.void') return {};
    return type === 'payment.authorize' ? { amount, currency: 'JPY' } : { amount };
  }
});

function open(book: Book, kind: Kind): void {
  if (kind === 'account') book.write('account.open', { account: 'p', currency: 'JPY' });
  else receive(book, kind, 1);
}

function receive(book: Book, kind: Kind, units: number): bigint {
  if (kind === 'account') book.write('account.deposit', { account: 'p', amount: String(units), currency: 'JPY' });
  else book.write('stock.receive', { sku: 'p', quantity: units });
  return BigInt(units);
}

/** What a saga never does: confirm what it does not hold, or settle both ways. */
function isAllowed(book: Book, kind: Kind, { saga, phase }: { readonly saga: number; readonly phase: Phase }): boolean {
  const state = holdOf(book, kind, saga)?.state;
  if (phase === 'confirm') return state === 'held' || state === 'confirmed';
  return phase === 'hold' || state !== 'confirmed';
}

function command(book: Book, kind: Kind, { saga, phase, attempt }: { readonly saga: number; readonly phase: Phase; readonly attempt: number }, { direction, units }: Terms) {
  const name = kind === 'account' ? { account: 'p' } : { sku: 'p' };
  const what = kind === 'account' ? { amount: String(units), currency: 'JPY' } : { quantity: units };
  return book.write(`${kind}.${phase}`, { ...name, saga: idOf(saga), attempt, ...(phase === 'hold' ? { direction, ...what } : {}) });
}

function idOf(saga: number): string {
  return `demo/o${saga}/order`;
}

function holdOf(book: Book, kind: Kind, saga: number): HoldRow | undefined {
  return book.row(hold, 'demo/p', kind, idOf(saga));
}

function poolOf(book: Book, kind: Kind) {
  if (kind === 'account') {
    const { balance: available, held: kept, incoming } = book.row(account, 'demo/p')!;
    return { available, kept, incoming };
  }
  const { on_hand: available, reserved: kept, incoming } = book.row(stock, 'demo/p')!;
  return { available, kept, incoming };
}

/** `received` is what came in beside the one unit with which stock opens; `others` what others keep. */
function expectConserved(book: Book, kind: Kind, received: bigint, others = 0n): void {
  const { available, kept, incoming } = poolOf(book, kind);
  const holds = Array.from({ length: SAGAS }, (_, saga) => holdOf(book, kind, saga)).filter((row) => row !== undefined);
  const sum = (state: string, direction: Direction) => holds.reduce((total, row) => (row.state === state && row.direction === direction ? total + row.units : total), 0n);
  expect(available >= 0n).toBe(true);
  expect(kept).toBe(sum('held', 'out') + others);
  expect(incoming).toBe(sum('held', 'in'));
  expect(available + kept).toBe((kind === 'stock' ? 1n : 0n) + received - sum('confirmed', 'out') + sum('confirmed', 'in'));
}
