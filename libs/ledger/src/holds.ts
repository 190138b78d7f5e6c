/**
 * The commands of sagas once more, written down as plainly as possible: what an account or a stock item keeps for a
 * saga, what it makes final, what it gives back; and what it answers.
 */
import { formatAmount, INTERNAL_KEY_PREFIX, MINOR_UNITS_MAX, parseAmount } from '@millrace/write';
import type { Command, Terms } from './command.ts';
import type { Account, SlotModel, Stock } from './model.ts';
import type { Answer, Facts } from './rules.ts';
import type { HoldRow } from './snapshot.ts';

export function holdName({ key, kind, saga }: Pick<HoldRow, 'key' | 'kind' | 'saga'>): string {
  return `${key} ${kind} ${saga}`;
}

/** `parked` where what the command asks for can never be. */
export function applyCommand(model: SlotModel, key: string, command: Command): Answer | 'parked' {
  const saga = `${command.from.key}/${command.from.name}`;
  const name = holdName({ key, kind: command.kind, saga });
  const before = model.holds.get(name);
  switch (command.op) {
    case 'hold': {
      if (before?.state === 'released') return no(command, 'already_released');
      if (before !== undefined || command.terms === undefined) return yes(command);
      const kept = keep(model, key, command, command.terms);
      if (typeof kept !== 'bigint') return kept;
      model.holds.set(name, { key, kind: command.kind, saga, direction: command.terms.direction, units: kept, state: 'held' });
      return yes(command);
    }
    case 'confirm':
      if (before === undefined || before.state === 'released') return 'parked';
      if (before.state === 'held') settle(model, before, 'confirmed');
      return yes(command);
    case 'release':
      if (before?.state === 'confirmed') return 'parked';
      // The hold may still come: it finds this, and is refused.
      if (before === undefined) model.holds.set(name, { key, kind: command.kind, saga, direction: 'out', units: 0n, state: 'released' });
      else if (before.state === 'held') settle(model, before, 'released');
      return yes(command);
  }
}

/** Keeps what is asked for: so many units; or the refusal. */
function keep(model: SlotModel, key: string, command: Command, terms: Terms): bigint | Answer | 'parked' {
  return command.kind === 'account' ? keepMoney(model.accounts.get(key), command, terms) : keepStock(model, key, command, terms);
}

function keepMoney(account: Account | undefined, command: Command, { direction, amount, currency }: Terms): bigint | Answer | 'parked' {
  const { id } = command;
  if (account === undefined) return no(command, 'unknown_account', { account: id });
  if (account.currency !== currency) return no(command, 'currency_mismatch', { account: id, currency: account.currency });
  const units = parseAmount(amount, currency);
  if (units === undefined) return 'parked';
  if (direction === 'in') {
    if (account.balance + account.held + account.incoming + units > MINOR_UNITS_MAX) return no(command, 'balance_overflow', { account: id });
    account.incoming += units;
    return units;
  }
  if (account.balance < units) {
    const short = formatAmount(units - account.balance, currency);
    return no(command, 'insufficient_funds', { account: id, balance: formatAmount(account.balance, currency), short, currency });
  }
  account.balance -= units;
  account.held += units;
  return units;
}

function keepStock({ stock }: SlotModel, key: string, command: Command, { direction, amount }: Terms): bigint | Answer {
  const units = BigInt(amount);
  const item: Stock = stock.get(key) ?? { key, onHand: 0n, reserved: 0n, incoming: 0n };
  if (direction === 'in') {
    if (item.onHand + item.reserved + item.incoming + units > MINOR_UNITS_MAX) return no(command, 'stock_overflow', { sku: command.id });
    item.incoming += units;
  } else {
    const missing = units - item.onHand;
    if (missing > 0n) return no(command, 'insufficient_stock', { sku: command.id, on_hand: String(item.onHand), short: String(missing) });
    item.onHand -= units;
    item.reserved += units;
  }
  stock.set(key, item);
  return units;
}

/** What is held becomes final, or goes back to where it was. */
function settle(model: SlotModel, hold: { -readonly [Column in keyof HoldRow]: HoldRow[Column] }, state: 'confirmed' | 'released'): void {
  const { key, kind, direction, units } = hold;
  hold.state = state;
  const account = model.accounts.get(key);
  const item = model.stock.get(key);
  if (kind === 'account' && account !== undefined) {
    if (direction === 'out') account.held -= units;
    else account.incoming -= units;
    if ((direction === 'in') === (state === 'confirmed')) account.balance += units;
  }
  if (kind === 'stock' && item !== undefined) {
    if (direction === 'out') item.reserved -= units;
    else item.incoming -= units;
    if ((direction === 'in') === (state === 'confirmed')) item.onHand += units;
  }
}

function yes(command: Command): Answer {
  return { code: null, messages: [replyOf(command, { done: true })] };
}

function no(command: Command, code: string, detail?: Facts): Answer {
  const refusal = detail === undefined ? { code } : { code, detail };
  return { code, facts: detail ?? null, messages: [replyOf(command, { done: false, ...refusal })] };
}

function replyOf({ op, id, kind, from, attempt }: Command, answer: object): NonNullable<Answer['messages']>[number] {
  const again = attempt === 0 ? '' : `#${attempt}`;
  return {
    stream: 'sagas',
    key: from.key,
    type: 'saga.reply',
    idempotencyKey: `${INTERNAL_KEY_PREFIX}${from.name}/${kind}/${id}/${op}${again}`,
    data: { saga: from.name, kind, id, phase: op, ...answer },
  };
}
