/** Transfers between two accounts, and those that must come to nothing. */
import type { Account } from './book.ts';
import { type Action, BEYOND_MEANS, type Draft, type Scene, amountOf, funding, randomAmount } from './scene.ts';

export const transfer: Action = (scene) => {
  const to = otherAccount(scene, (currency) => currency === scene.account.currency);
  if (!to) return [];
  const { account, random } = scene;
  const units = randomAmount(random, account.currency);
  const funds = funding(scene, units);
  account.least -= units;
  to.most += units;
  return [...funds, transferOf(scene, to.id, units, 'confirmed')];
};

export const transferTooMuch: Action = (scene) => {
  const to = otherAccount(scene, (currency) => currency === scene.account.currency);
  return to ? [transferOf(scene, to.id, BEYOND_MEANS, 'insufficient_funds')] : [];
};

export const transferToNobody: Action = (scene) => undone(scene, scene.newId('nobody'), 'unknown_account');

export const transferToOtherCurrency: Action = (scene) => {
  const to = otherAccount(scene, (currency) => currency !== scene.account.currency);
  return to ? undone(scene, to.id, 'currency_mismatch') : [];
};

export const transferTwice: Action = (scene) => {
  const { book, random, account } = scene;
  const to = otherAccount(scene, () => true);
  if (book.lastTransfer === undefined || !to) return [];
  return [transferOf(scene, to.id, randomAmount(random, account.currency), 'transfer_exists', book.lastTransfer)];
};

/** The payer could pay: what it gives is kept for a while, and given back. */
function undone(scene: Scene, to: string, answer: string): readonly Draft[] {
  const units = randomAmount(scene.random, scene.account.currency);
  const funds = funding(scene, units);
  scene.account.least -= units;
  return [...funds, transferOf(scene, to, units, answer)];
}

function transferOf(scene: Scene, to: string, units: bigint, answer: string, id = scene.newId('tr')): Draft {
  const { account, book } = scene;
  book.lastTransfer = id;
  const data = { transfer: id, from: account.id, to, amount: amountOf(units, account), currency: account.currency };
  return { body: { type: 'transfer.place', data }, after: [account.id, to], answers: [answer] };
}

function otherAccount({ book, random, account }: Scene, fits: (currency: string) => boolean): Account | undefined {
  const from = random.below(book.accounts.length);
  const wanted = (each: Account | undefined): boolean => each !== undefined && each !== account && fits(each.currency);
  return book.accounts.slice(from).find(wanted) ?? book.accounts.slice(0, from).find(wanted);
}
