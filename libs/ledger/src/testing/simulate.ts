/**
 * A tiny simulation of writers that make no mistake, for tests: it turns steps into a log and the rows that belong
 * to it. It remembers all that happened and adds it up anew for every question, so it shares no idea with the model
 * that it is compared with: there is no state to fold, and whether a step is valid it is told, not finding out.
 *
 * No relay runs in it: what an order sends to its saga stays on its way. Sagas in full are `test/integration`'s.
 */
import { slotOf } from '@millrace/ring';
import { encodeWrite } from '@millrace/wire';
import { bodyHashOf, digestOf, type Offset, type ShardId, type Slot } from '@millrace/write';
import type { JournalRow, LogRecord, ShardSnapshot, SlotRows } from '../snapshot.ts';

/** Amounts are whole minor units of a currency with two digits, as `"12.34"` says them. */
export interface Step {
  readonly key: string;
  readonly type: string;
  readonly idempotencyKey: string;
  readonly data: Readonly<Record<string, unknown>>;
  /** True where no schema would take it. */
  readonly isInvalid?: boolean;
  /** How many times Postgres refuses it as data, though it is valid. */
  readonly poison?: number;
}

export interface World {
  readonly owners: readonly ShardId[];
  readonly log: readonly LogRecord[];
  readonly shards: readonly ShardSnapshot[];
}

interface Item extends LogRecord {
  readonly step: Step;
  readonly digest: string;
  tries: number;
}

type Mutable<T> = { -readonly [Field in keyof T]: T[Field] };
type Posting = readonly [name: string, units: bigint];

export function simulate(steps: readonly Step[], owners: readonly ShardId[]): World {
  const next = new Map<number, bigint>();
  const items = steps.map((step, index): Item => {
    const slot = slotOf(step.key, owners.length);
    const offset = next.get(slot) ?? 0n;
    next.set(slot, offset + 1n);
    const value = Buffer.from(encodeWrite(step));
    return { slot, offset: offset as Offset, key: Buffer.from(step.key), value, timestampMs: 1000 + index, step, digest: digestOf(step.key, step.idempotencyKey), tries: 0 };
  });
  const rows = owners.map((_, slot) => rowsOf(items.filter((item) => item.slot === (slot as Slot))));
  const ids = [...new Set(owners)];
  return {
    owners,
    log: items.map(({ slot, offset, key, value, timestampMs }) => ({ slot, offset, key, value, timestampMs })),
    shards: ids.map((shard) => ({ shard, slots: new Map(owners.flatMap((owner, slot) => (owner === shard ? [[slot, rows[slot]!] as const] : []))) })),
  };
}

function rowsOf(items: readonly Item[]): SlotRows {
  const journal: Mutable<JournalRow>[] = [];
  const done: { readonly step: Step; readonly postings: readonly Posting[] }[] = [];
  let parked: Item[] = [];

  const sum = (name: string): bigint => done.flatMap(({ postings }) => postings).reduce((total, [posted, units]) => (posted === name ? total + units : total), 0n);
  const happened = (name: string): boolean => done.some(({ postings }) => postings.some(([posted]) => posted === name));

  function write(item: Item, detail: Partial<JournalRow>): void {
    const { offset, digest, step, timestampMs } = item;
    journal.push({ offset, bodyHash: hashOf(item), atMs: timestampMs, digest, outcome: 'applied', key: step.key, type: step.type, code: null, first: null, releasedBy: null, facts: null, messages: null, ...detail });
  }

  /** False where Postgres does not take it. */
  function settle(item: Item, releasedBy: string | null): boolean {
    if (item.step.isInvalid === true) return false;
    const first = journal.find(({ digest }) => digest === item.digest);
    if (first !== undefined) {
      if (first.bodyHash !== hashOf(item)) write(item, { digest: null, outcome: 'refused', code: 'idempotency_mismatch', first: String(first.offset), releasedBy });
      return true;
    }
    item.tries += 1;
    if (item.tries <= (item.step.poison ?? 0)) return false;
    const answer = decide(item.step, sum, happened);
    if (typeof answer === 'string') write(item, { outcome: 'refused', code: answer, releasedBy });
    else {
      write(item, { releasedBy, messages: messagesOf(item, done), facts: item.step.type === 'order.return' ? { return: String(item.step.data.return) } : null });
      done.push({ step: item.step, postings: answer });
    }
    return true;
  }

  /** The first that Postgres would refuse of those that a release reaches: then the whole release comes to nothing. */
  function refusedAgain(waiting: readonly Item[]): Item | undefined {
    const seen = new Set(journal.map(({ digest }) => digest));
    for (const item of waiting) {
      if (item.step.isInvalid === true) return undefined;
      if (!seen.has(item.digest) && item.tries < (item.step.poison ?? 0)) return item;
      seen.add(item.digest);
    }
    return undefined;
  }

  function release(item: Item): void {
    const by = String(item.offset);
    const waiting = parked.filter(({ step }) => step.key === item.step.key);
    const refused = refusedAgain(item.step.data.action === 'skip' ? waiting.slice(1) : waiting);
    if (refused !== undefined) {
      refused.tries += 1;
      write(item, { outcome: 'refused', code: 'still_parked' });
      return;
    }
    write(item, waiting.length === 0 ? { outcome: 'refused', code: 'not_parked' } : {});
    if (item.step.data.action === 'skip' && waiting[0] !== undefined) {
      const unread = waiting[0].step.isInvalid === true;
      write(waiting[0], { outcome: 'refused', code: 'skipped_by_operator', releasedBy: by, ...(unread ? { type: 'unknown', digest: null } : {}) });
      parked = parked.filter((other) => other !== waiting[0]);
      waiting.shift();
    }
    for (const head of waiting) {
      if (!settle(head, by)) return;
      parked = parked.filter((other) => other !== head);
    }
  }

  for (const item of items) {
    const isSeen = journal.some(({ digest }) => digest === item.digest);
    const isBehind = parked.some(({ step }) => step.key === item.step.key);
    if (item.step.type === 'parked.release' && !isSeen) release(item);
    else if (item.step.isInvalid === true || (isBehind && !isSeen)) parked.push(item);
    else if (!settle(item, null)) parked.push(item);
  }

  const opened = done.filter(({ step }) => step.type === 'account.open');
  const paid = done.filter(({ step, postings }) => step.type.startsWith('payment.') && postings[0]![0].startsWith('authorized'));
  const placed = done.filter(({ step }) => step.type === 'order.place');
  const stocked = [...new Set(done.filter(({ step }) => step.type === 'stock.receive').map(({ step }) => step.key))];
  const end = BigInt(items.length);
  const parkedRows = parked.map(({ offset, key, value, timestampMs }) => ({ offset, key: key!.toString(), value, atMs: timestampMs }));
  return {
    slotState: { state: 'ACTIVE', epoch: 1n, movedTo: null },
    streams: {
      writes: { position: { nextOffset: end, relayedOffset: 0n }, journal, parked: parkedRows },
      sagas: { position: { nextOffset: 0n, relayedOffset: 0n }, journal: [], parked: [] },
    },
    accounts: opened.map(({ step: { key, data } }) => ({ key, currency: String(data.currency), balance: sum(`balance ${key}`), held: sum(`held ${key}`), incoming: 0n })),
    payments: paid.map(({ step: { key, data } }) => {
      const total = (name: string): bigint => sum(`${name} ${key} ${String(data.payment)}`);
      const order = data.order === undefined ? null : String(data.order);
      return { account: key, payment: String(data.payment), currency: String(data.currency), authorized: total('authorized'), captured: total('captured'), refunded: total('refunded'), released: total('released'), orderId: order };
    }),
    orders: placed.map(({ step: { key, data } }) => {
      return { key, account: String(data.account), currency: String(data.currency), total: sum(`total ${key}`), lines: data.lines };
    }),
    stock: stocked.map((key) => ({ key, onHand: sum(`stock ${key}`), reserved: 0n, incoming: 0n })),
    holds: [],
    sagas: [],
  };
}

/** What a step adds where, or why it is refused. */
function decide({ key, type, data }: Step, sum: (name: string) => bigint, happened: (name: string) => boolean): string | readonly Posting[] {
  const of = (name: string): string => `${name} ${key} ${String(data.payment)}`;
  const balance = `balance ${key}`;
  const held = `held ${key}`;
  const rest = sum(of('authorized')) - sum(of('captured')) - sum(of('released'));
  const refundable = sum(of('captured')) - sum(of('refunded'));
  const isPaymentOf = type.startsWith('payment.') && data.currency === undefined;
  if (type.startsWith('account.deposit') || type.startsWith('payment.')) {
    if (!happened(`open ${key}`)) return 'unknown_account';
  }
  if (isPaymentOf && !happened(of('authorized'))) return 'unknown_payment';
  switch (type) {
    case 'account.open':
      return happened(`open ${key}`) ? 'account_exists' : [[`open ${key}`, 1n], [`open ${key} ${String(data.currency)}`, 1n]];
    case 'account.deposit':
      return happened(`open ${key} ${String(data.currency)}`) ? [[balance, units(data.amount)]] : 'currency_mismatch';
    case 'payment.authorize':
    case 'payment.capture': {
      if (isPaymentOf) return captureOf();
      if (happened(of('authorized'))) return 'payment_exists';
      if (!happened(`open ${key} ${String(data.currency)}`)) return 'currency_mismatch';
      const amount = units(data.amount);
      if (amount > sum(balance)) return 'insufficient_funds';
      return [[of('authorized'), amount], [balance, -amount], type === 'payment.authorize' ? [held, amount] : [of('captured'), amount]];
    }
    case 'payment.void':
      if (sum(of('released')) > 0n) return 'already_voided';
      return rest === 0n ? 'already_captured' : [[of('released'), rest], [balance, rest], [held, -rest]];
    case 'payment.refund': {
      const amount = data.amount === undefined ? refundable : units(data.amount);
      if (refundable === 0n) return 'nothing_to_refund';
      return amount > refundable ? 'exceeds_captured' : [[of('refunded'), amount], [balance, amount]];
    }
    case 'stock.receive':
      return [[`stock ${key}`, BigInt(Number(data.quantity))]];
    case 'order.place': {
      const lines = data.lines as readonly { readonly quantity: number; readonly unit_price: string }[];
      return happened(`total ${key}`) ? 'order_exists' : lines.map((line) => [`total ${key}`, BigInt(line.quantity) * units(line.unit_price)] as const);
    }
    case 'order.cancel':
      if (!happened(`total ${key}`)) return 'unknown_order';
      return [[`cancelled ${key}`, 1n]];
    case 'order.return':
      return happened(`total ${key}`) ? [[`returned ${key}`, 1n]] : 'unknown_order';
    case 'transfer.place':
      return [[`transferred ${key}`, 1n]];
    default:
      throw new Error(`no step has the type ${type}`);
  }

  function captureOf(): string | readonly Posting[] {
    if (sum(of('released')) > 0n) return 'payment_voided';
    if (rest === 0n) return 'already_captured';
    const amount = data.amount === undefined ? rest : units(data.amount);
    return amount > rest ? 'exceeds_authorized' : [[of('captured'), amount], [held, -amount]];
  }
}

/** What an applied step tells the saga of its key. */
function messagesOf({ offset, step: { key, type, data } }: Item, done: readonly { readonly step: Step }[]): readonly object[] | null {
  const message = (start: string, about: object): readonly object[] => [{ stream: 'sagas', key, type: start, idempotencyKey: `\u0001from/${offset}`, data: about }];
  switch (type) {
    case 'order.place': {
      const { account, currency } = data;
      const lines = data.lines as readonly { readonly sku: string; readonly quantity: number; readonly unit_price: string }[];
      const pence = lines.reduce((sum, line) => sum + BigInt(line.quantity) * units(line.unit_price), 0n);
      const stock = [...new Set(lines.map(({ sku }) => sku))].map((sku) => ({ sku, quantity: lines.filter((line) => line.sku === sku).reduce((sum, line) => sum + line.quantity, 0) }));
      return message('order.start', { account, currency, total: `${pence / 100n}.${String(pence % 100n).padStart(2, '0')}`, stock, deadline_seconds: data.deadline_seconds ?? 900 });
    }
    case 'order.cancel':
      return message('saga.cancel', { saga: 'order', by: 'client' });
    case 'order.return': {
      const { account, currency, lines } = done.find(({ step }) => step.type === 'order.place' && step.key === key)!.step.data;
      return message('return.start', { return: data.return, lines: data.lines, order: { account, currency, lines } });
    }
    case 'transfer.place': {
      const { from, to, amount, currency } = data;
      return message('transfer.start', { from, to, amount, currency, deadline_seconds: 900 });
    }
    default:
      return null;
  }
}

function units(amount: unknown): bigint {
  return BigInt(String(amount).replace('.', ''));
}

function hashOf({ value }: Item): bigint {
  return bodyHashOf(value!);
}
