/**
 * A realistic stream of writes from a seed: accounts, deposits, stock, orders across shards with cancels and returns,
 * transfers and payments over Zipf-distributed keys, with bursts, retries, misused idempotency keys, writes that the
 * domain must refuse and orders that must be undone.
 *
 * Pure: the same options give the same stream. G1 each key's writes come in the order in which they must be acked.
 * G2 exactly `writes` works of kind `write` come, each under an idempotency key of its own; repeats and mismatches
 * come on top. G3 every id but those of the common skus holds `run`, so that another run meets nothing of this one, and
 * takes none of the units that this one counts on. G4 see `book.ts`.
 */
import { assert, must } from '@millrace/write';
import type { Work } from '../write.ts';
import { authorize, capture, deposit, open, pay, receive, refund, voidPayment } from './actions.ts';
import { type Account, type Book, createBook } from './book.ts';
import { mismatchOf, repeatOf } from './echo.ts';
import { cancel, cancelLate, place, placeAndCancel, placeInHaste, placeInOtherCurrency, placeLimited, placeOnNobody, placeTooDear, placeTooMany } from './orders.ts';
import { type Random, createRandom } from './random.ts';
import { refusals } from './refusals.ts';
import { giveBack, giveBackForeign, giveBackTooMany, giveBackTwice, giveBackUnsold } from './returns.ts';
import type { Action, Draft, Scene } from './scene.ts';
import { transfer, transferToNobody, transferToOtherCurrency, transferTooMuch, transferTwice } from './transfers.ts';
import { createZipf } from './zipf.ts';

export interface GeneratorOptions {
  /** Any text; decides every choice. */
  readonly seed: string;
  /** Marks the ids of this run: 1 to 24 of `A-Z a-z 0-9 _ -`. The seed where absent. */
  readonly run?: string;
  /** Writes under idempotency keys of their own. */
  readonly writes: number;
  /** By default one for 20 writes, 10 to 5,000. */
  readonly accounts?: number;
  readonly skus?: number;
  /** Zipf's exponent of accounts and skus. */
  readonly exponent?: number;
}

const RUN_PATTERN = /^[A-Za-z0-9_-]{1,24}$/;
const EXPONENT = 0.8;
const SKUS = 500;
const WRITES_PER_ACCOUNT = 20;
const ACCOUNTS_MIN = 10;
const ACCOUNTS_MAX = 5_000;

const REPEAT_CHANCE = 0.03;
const MISMATCH_CHANCE = 0.005;
const REFUSAL_CHANCE = 0.04;
const BURST_CHANCE = 0.004;
const BURST_ACTIONS_MAX = 40;
const RECENT_KEPT = 512;

/** GBP is the rule; yen have no minor digits, dinars have three. */
const CURRENCIES = ['GBP', 'GBP', 'GBP', 'EUR', 'EUR', 'USD', 'USD', 'CHF', 'JPY', 'KWD'];

/** Each action as often as its weight. */
const ACTIONS: readonly Action[] = weighted([
  [deposit, 10],
  [pay, 13],
  [authorize, 12],
  [capture, 12],
  [voidPayment, 3],
  [refund, 6],
  [receive, 8],
  [place, 18],
  [placeLimited, 3],
  [placeTooMany, 2],
  [placeTooDear, 1],
  [placeAndCancel, 2],
  [cancel, 1],
  [giveBack, 5],
  [transfer, 4],
]);

/** What must be refused: by the domain at once, or by a saga. */
const REFUSED: readonly Action[] = [
  ...refusals,
  placeOnNobody,
  placeInOtherCurrency,
  placeInHaste,
  cancelLate,
  giveBackTooMany,
  giveBackForeign,
  giveBackUnsold,
  giveBackTwice,
  transferTooMuch,
  transferToNobody,
  transferToOtherCurrency,
  transferTwice,
];

/** The stream. @throws AssertionFailed for options out of range. */
export function* createGenerator(options: GeneratorOptions): Generator<Work, void, undefined> {
  const { seed, run = seed, writes } = options;
  assert(RUN_PATTERN.test(run), '`run` is 1 to 24 characters of A-Z a-z 0-9 _ -');
  const random = createRandom(seed);
  const drafts = draftsOf(options, run, random);
  const recent: Work[] = [];
  for (let n = 0; n < writes; n++) {
    const work: Work = { kind: 'write', ...must(drafts.next().value ?? undefined, 'drafts never end'), idempotencyKey: `${run}-${n}` };
    yield work;
    recent[n % RECENT_KEPT] = work;
    if (random.chance(REPEAT_CHANCE)) yield repeatOf(random.pick(recent));
    if (!random.chance(MISMATCH_CHANCE)) continue;
    const mismatch = mismatchOf(random.pick(recent));
    if (mismatch) yield mismatch;
  }
}

/** Drafts without end. */
function* draftsOf(options: GeneratorOptions, run: string, random: Random): Generator<Draft, void, undefined> {
  const { accounts = defaultAccounts(options.writes), skus = SKUS, exponent = EXPONENT } = options;
  const book = createBook(accounts);
  const accountRank = createZipf({ n: accounts, exponent });
  const skuRank = createZipf({ n: skus, exponent });
  const pickSku = (): string => `sku-${skuRank(random)}`;
  let ids = 0;
  const newId = (noun: string): string => `${noun}-${run}-${ids++}`;
  let burst = { rank: 0, actionsLeft: 0 };
  for (;;) {
    if (burst.actionsLeft === 0 && random.chance(BURST_CHANCE)) {
      burst = { rank: accountRank(random), actionsLeft: 1 + random.below(BURST_ACTIONS_MAX) };
    }
    const rank = burst.actionsLeft > 0 ? burst.rank : accountRank(random);
    if (burst.actionsLeft > 0) burst.actionsLeft--;
    const isNew = book.accounts[rank] === undefined;
    const scene: Scene = { book, random, run, account: accountAt(book, { rank, run, random }), newId, pickSku };
    yield* isNew ? open(scene) : act(scene);
  }
}

function act(scene: Scene): readonly Draft[] {
  const { random } = scene;
  const action = random.pick(random.chance(REFUSAL_CHANCE) ? REFUSED : ACTIONS);
  return action(scene);
}

function accountAt(book: Book, { rank, run, random }: { rank: number; run: string; random: Random }): Account {
  const known = book.accounts[rank];
  if (known) return known;
  const account = { id: `acc-${run}-${rank}`, currency: random.pick(CURRENCIES), least: 0n, most: 0n, payments: [] };
  book.accounts[rank] = account;
  return account;
}

function defaultAccounts(writes: number): number {
  return Math.min(ACCOUNTS_MAX, Math.max(ACCOUNTS_MIN, Math.ceil(writes / WRITES_PER_ACCOUNT)));
}

function weighted(table: readonly (readonly [Action, number])[]): readonly Action[] {
  return table.flatMap(([action, weight]) => new Array<Action>(weight).fill(action));
}
