/**
 * How sagas ended, across all slots: each against what its participants hold for it, and all of them together against
 * what there is of money and stock.
 *
 * A saga and its participants are met slot by slot, in any order, so all sagas are kept until the end: about 160 bytes
 * each. What is asked of a saga's participants and what they say are summed up as hashes, and only the difference kept.
 *
 * Streams may run meanwhile. A saga that had ended at the cut was settled with all its participants before any snapshot:
 * so it is judged whatever the snapshots lie like. One that is open, or ended later, only where nothing moved at all
 * between the cut and the last snapshot.
 */
import { formatAmount, isCurrency, parseAmount, tenantOf } from '@millrace/write';
import type { Cut } from './mail.ts';
import { hashOf } from './message.ts';
import type { SlotModel } from './model.ts';
import { type ModelSaga, type SagaModel, type SagaPart } from './saga-model.ts';
import type { HoldRow, SlotRows } from './snapshot.ts';
import { createTally, type Tally } from './tally.ts';

export type Contradiction = { readonly is: 'unsettled' | 'not_conserved'; readonly key: string; readonly expected: string; readonly actual: string };

export interface Ends {
  /** Takes a slot: its sagas, what its accounts and stock items hold for sagas, and what they have. */
  add(slot: number, found: { readonly sagas: SagaModel; readonly model: SlotModel; readonly rows: SlotRows }): void;
  /** `isStill`: nothing moved since the cut, and every log was read. */
  judge(isStill: boolean): { readonly contradictions: readonly Contradiction[]; readonly heldForOpen: number; readonly areSumsJudged: boolean };
}

/** What a saga asks of its participants, less what they say. */
interface Account {
  /** Undefined where only participants know it. */
  state: Standing | undefined;
  /** Of participants that must have confirmed: their hashes, less those of the holds that are confirmed. */
  hash: number;
  parts: number;
  heldHash: number;
  held: number;
}

/** `late`: it ended after the cut. `confirming` asks its participants for what each still holds or has confirmed. */
type Standing = 'reserving' | 'confirming' | 'undoing' | 'confirmed' | 'undone' | 'late';

export function createEnds(cut: Cut): Ends {
  const accounts = new Map<string, Account>();
  const expected: Tally = createTally();
  const actual: Tally = createTally();

  function accountOf(saga: string): Account {
    const known = accounts.get(saga);
    if (known !== undefined) return known;
    const fresh = { state: undefined, hash: 0, parts: 0, heldHash: 0, held: 0 };
    accounts.set(saga, fresh);
    return fresh;
  }

  function addSaga(saga: ModelSaga, position: bigint): void {
    const account = accountOf(`${saga.key}/${saga.name}`);
    account.state = standingOf(saga, position);
    if (saga.state !== 'confirmed' && saga.state !== 'confirming') return;
    for (const part of saga.parts) {
      const units = unitsOf(part);
      account.hash += hashOfHold({ key: `${tenantOf(saga.key)}/${part.id}`, kind: part.kind, direction: part.direction, units });
      account.parts += 1;
      if (saga.state === 'confirmed') count(expected, part, part.direction === 'in' ? units : -units);
    }
  }

  function addHold(hold: HoldRow): void {
    if (hold.state === 'released') return;
    const account = accountOf(hold.saga);
    const hash = hashOfHold(hold);
    if (hold.state === 'confirmed') {
      account.hash -= hash;
      account.parts -= 1;
    } else {
      account.heldHash += hash;
      account.held += 1;
    }
  }

  return {
    add(slot, { sagas, model, rows }) {
      const position = cut.position('sagas', slot);
      for (const saga of sagas.values()) addSaga(saga, position);
      for (const hold of rows.holds) addHold(hold);
      expected.add(model.tally);
      for (const { currency, balance, held } of rows.accounts) actual.pay(currency, balance + held);
      for (const { onHand, reserved } of rows.stock) actual.stock += onHand + reserved;
    },
    judge(isStill) {
      const contradictions: Contradiction[] = [];
      let heldForOpen = 0;
      let isOver = true;
      for (const [key, account] of accounts) {
        const wrong = judgeAccount(account, isStill);
        if (wrong !== undefined) contradictions.push({ is: 'unsettled', key, ...wrong });
        if (account.state === 'confirmed' || account.state === 'undone') continue;
        isOver = false;
        heldForOpen += account.held;
      }
      const areSumsJudged = isStill && isOver;
      if (areSumsJudged) contradictions.push(...compareTallies(expected, actual));
      return { contradictions, heldForOpen, areSumsJudged };
    },
  };
}

function standingOf({ state, endedAt }: ModelSaga, position: bigint): Standing {
  if (state === 'reserving' || state === 'confirming' || state === 'undoing') return state;
  if (endedAt === null || endedAt >= position) return 'late';
  return state === 'confirmed' ? 'confirmed' : 'undone';
}

function judgeAccount(account: Account, isStill: boolean): Omit<Contradiction, 'is' | 'key'> | undefined {
  const { state, hash, parts, heldHash, held } = account;
  const actual = `${held} held, ${parts === 0 ? (hash === 0 ? 'as many confirmed' : 'others confirmed') : `${Math.abs(parts)} ${parts > 0 ? 'fewer' : 'more'} confirmed`}`;
  const differs = (expected: string): Omit<Contradiction, 'is' | 'key'> => ({ expected, actual });
  switch (state) {
    case 'confirmed':
      return hash === 0 && parts === 0 && held === 0 ? undefined : differs('confirmed: each of its participants has confirmed what was asked of it');
    case 'undone':
      return parts === 0 && held === 0 ? undefined : differs('undone: none of its participants holds or has confirmed anything');
    case 'confirming':
      return !isStill || (hash === heldHash && parts === held) ? undefined : differs('confirming: each of its participants holds, or has confirmed, what was asked of it');
    case 'reserving':
    case 'undoing':
      return !isStill || parts === 0 ? undefined : differs(`${state}: none of its participants has confirmed anything`);
    case 'late':
      return undefined;
    case undefined:
      return isStill ? differs('no hold: there is no such saga') : undefined;
  }
}

/** Of money by currency, of stock in all. */
function compareTallies(expected: Tally, actual: Tally): readonly Contradiction[] {
  const found: Contradiction[] = [];
  for (const currency of new Set([...expected.money.keys(), ...actual.money.keys()])) {
    const [due, has] = [expected.money.get(currency) ?? 0n, actual.money.get(currency) ?? 0n];
    if (due !== has) found.push({ is: 'not_conserved', key: currency, expected: `${amount(due, currency)} in all accounts, by what came in and went out`, actual: amount(has, currency) });
  }
  if (expected.stock !== actual.stock) found.push({ is: 'not_conserved', key: 'stock', expected: `${expected.stock} units in all, by what came in and went out`, actual: `${actual.stock} units` });
  return found;
}

function count(tally: Tally, { kind, currency }: SagaPart, units: bigint): void {
  if (kind === 'stock') tally.stock += units;
  else tally.pay(currency ?? '', units);
}

function unitsOf({ amount: text, currency }: SagaPart): bigint {
  return currency === null ? BigInt(text) : ((isCurrency(currency) ? parseAmount(text, currency) : undefined) ?? 0n);
}

/** 40 bits, so that the sum over all participants of a saga stays exact. */
function hashOfHold({ key, kind, direction, units }: Pick<HoldRow, 'key' | 'kind' | 'direction' | 'units'>): number {
  return Buffer.from(hashOf(`${key} ${kind} ${direction} ${units}`), 'base64').readUIntBE(0, 5);
}

function amount(units: bigint, currency: string): string {
  return isCurrency(currency) ? `${formatAmount(units, currency)} ${currency}` : `${units} minor units of ${currency}`;
}

