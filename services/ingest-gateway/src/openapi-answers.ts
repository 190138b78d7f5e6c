/** Answers as the API's description shows them. */
import { REFUSALS } from '@millrace/domain';
import { limits } from './limits.ts';
import type { JsonSchema } from './openapi-bodies.ts';
import { PUBLIC_STATES, STAGES } from './read/saga-json.ts';

const decimal = { type: 'string', examples: ['12.50'], description: "A decimal with the currency's ISO 4217 digits." };
const text = { type: 'string' };
const count = { type: 'integer', minimum: 0, format: 'int64' };
const instant = { type: 'string', format: 'date-time' };
const state = {
  enum: PUBLIC_STATES,
  description: '`placed` while it is under way; then `confirmed`: all of it is done; `rejected` or `cancelled`: none of it, and what was reserved is given back.',
};
const reason = { enum: Object.keys(REFUSALS), description: 'Why it is rejected or cancelled; also while what was reserved is still being given back.' };
const detail = {
  type: 'object',
  additionalProperties: text,
  description: 'The facts of the reason.',
  examples: [{ sku: '85123A', on_hand: '2', short: '4' }, { account: 'acc-1', balance: '10.00', short: '5.30', currency: 'GBP' }],
};
const history = {
  type: 'array',
  items: object({ state: { enum: STAGES }, at: instant }),
  description:
    'Each stage with its time: `placed`, `reserved` (from here on it will be confirmed), `confirmed`; or `placed`, `undoing`, and `rejected` or `cancelled`. ' +
    'Empty for the moment before the order is taken up.',
  examples: [[{ state: 'placed', at: '2026-03-01T12:00:00.000Z' }, { state: 'reserved', at: '2026-03-01T12:00:00.041Z' }, { state: 'confirmed', at: '2026-03-01T12:00:00.083Z' }]],
};
const receipt = { type: 'string', minLength: 42, maxLength: 42, description: 'Proves the write, and is the token for `after`.' };

const orderExample = {
  order: 'ord-1',
  account: 'acc-1',
  state: 'confirmed',
  currency: 'GBP',
  total: '15.30',
  lines: [{ sku: '85123A', quantity: 6, unit_price: '2.55' }],
  history: [
    { state: 'placed', at: '2026-03-01T12:00:00.000Z' },
    { state: 'reserved', at: '2026-03-01T12:00:00.041Z' },
    { state: 'confirmed', at: '2026-03-01T12:00:00.083Z' },
  ],
  returns: [{ return: 'ret-1', state: 'placed', refund: '5.10', lines: [{ sku: '85123A', quantity: 2 }], history: [{ state: 'placed', at: '2026-03-04T09:30:00.000Z' }] }],
};
const rejectedExample = {
  ...orderExample,
  state: 'rejected',
  reason: 'insufficient_stock',
  detail: { sku: '85123A', on_hand: '2', short: '4' },
  history: [
    { state: 'placed', at: '2026-03-01T12:00:00.000Z' },
    { state: 'undoing', at: '2026-03-01T12:00:00.038Z' },
    { state: 'rejected', at: '2026-03-01T12:00:00.079Z' },
  ],
  returns: [],
};

export function answerSchemas(): { readonly [name: string]: JsonSchema } {
  return {
    Accepted: object({ receipt, status: { const: 'accepted' } }),
    WriteStatus: object(
      {
        receipt,
        status: {
          enum: ['accepted', 'applied', 'refused', 'parked'],
          description:
            'A cancel, a return or a transfer is `accepted` until its saga has taken or refused it; an order is `applied` as soon as it is placed. ' +
            'What becomes of it then is the `state` in `outcome`. `parked`: an operator must release it.',
        },
        type: { type: 'string', description: 'The type of the write.' },
        at: { type: 'string', format: 'date-time', description: 'When Kafka took the write.' },
        code: { enum: Object.keys(REFUSALS), description: codes() },
        outcome: {
          type: 'object',
          description: 'What the shard noted: for a refusal its code and facts; for an order, a cancel, a return or a transfer the state that it is in.',
          properties: { state, reason, detail, return: { type: 'string', description: 'Of a return: its id.' } },
          examples: [{ state: 'rejected', reason: 'insufficient_stock', detail: { sku: '85123A', on_hand: '2', short: '4' } }],
        },
        reason: { type: 'string', description: 'Why the write is parked. An operator releases it.' },
      },
      ['receipt', 'status'],
    ),
    LineAnswer: { oneOf: [object({ receipt }), object({ error: { $ref: '#/components/schemas/Problem' } })] },
    Account: object({ account: text, currency: text, balance: { ...decimal, description: 'What can be spent.' }, held: { ...decimal, description: 'What authorizations, orders and transfers keep.' } }),
    Payment: object(
      {
        payment: text,
        account: text,
        state: { enum: ['authorized', 'partially_captured', 'captured', 'voided', 'partially_refunded', 'refunded'] },
        currency: text,
        authorized: decimal,
        captured: decimal,
        refunded: decimal,
        released: decimal,
        order: text,
      },
      ['payment', 'account', 'state', 'currency', 'authorized', 'captured', 'refunded', 'released'],
    ),
    Order: object(
      {
        order: text,
        account: text,
        state,
        reason,
        detail,
        currency: text,
        total: decimal,
        lines: { type: 'array', items: object({ sku: text, quantity: count, unit_price: decimal }) },
        history,
        returns: {
          type: 'array',
          items: { $ref: '#/components/schemas/Return' },
          description: `In the order of their start. Where there are many, the last ones: at most ${limits.returnsMax}, with at most ${limits.returnLinesMax.toLocaleString('en')} lines together, but at least one.`,
        },
        returns_left_out: { ...count, minimum: 1, description: `How many earlier returns are not shown; absent where all are. Of more than ${limits.returnsCountedMax.toLocaleString('en')} returns the further ones are not counted.` },
      },
      ['order', 'account', 'state', 'currency', 'total', 'lines', 'history', 'returns'],
      [orderExample, rejectedExample],
    ),
    Return: object(
      {
        return: text,
        state,
        reason,
        detail,
        refund: { ...decimal, description: "What is paid back, in the order's currency." },
        lines: { type: 'array', items: object({ sku: text, quantity: count }) },
        history,
      },
      ['return', 'state', 'refund', 'lines', 'history'],
    ),
    Transfer: object(
      { transfer: text, from: text, to: text, amount: decimal, currency: text, state, reason, detail, history },
      ['transfer', 'from', 'to', 'amount', 'currency', 'state', 'history'],
    ),
    Stock: object({ sku: text, on_hand: { ...count, description: 'What can be sold.' }, reserved: { ...count, description: 'What orders keep.' } }),
  };
}

function object(properties: { readonly [name: string]: unknown }, required = Object.keys(properties), examples: readonly unknown[] = []): JsonSchema {
  return { type: 'object', required, properties, ...(examples.length === 0 ? {} : { examples }) };
}

function codes(): string {
  const list = Object.entries(REFUSALS).map(([code, title]) => `\`${code}\`: ${title}`);
  return `Why the write was refused. ${list.join(' ')}`;
}
