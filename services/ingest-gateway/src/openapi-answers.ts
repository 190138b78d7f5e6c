/** Answers as the API's description shows them. */
import { REFUSALS } from '@millrace/domain';
import type { JsonSchema } from './openapi-bodies.ts';

const decimal = { type: 'string', examples: ['12.50'], description: "A decimal with the currency's ISO 4217 digits." };
const text = { type: 'string' };
const count = { type: 'integer', minimum: 0, format: 'int64' };
const receipt = { type: 'string', minLength: 42, maxLength: 42, description: 'Proves the write, and is the token for `after`.' };

export function answerSchemas(): { readonly [name: string]: JsonSchema } {
  return {
    Accepted: object({ receipt, status: { const: 'accepted' } }),
    WriteStatus: object(
      {
        receipt,
        status: { enum: ['accepted', 'applied', 'refused', 'parked'] },
        type: { type: 'string', description: 'The type of the write.' },
        at: { type: 'string', format: 'date-time', description: 'When Kafka took the write.' },
        code: { enum: Object.keys(REFUSALS), description: codes() },
        outcome: { type: 'object', description: 'What the shard noted: for a refusal its code and facts.' },
        reason: { type: 'string', description: 'Why the write is parked. An operator releases it.' },
      },
      ['receipt', 'status'],
    ),
    LineAnswer: { oneOf: [object({ receipt }), object({ error: { $ref: '#/components/schemas/Problem' } })] },
    Account: object({ account: text, currency: text, balance: { ...decimal, description: 'What can be spent.' }, held: { ...decimal, description: 'What authorizations keep.' } }),
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
    Order: object({
      order: text,
      account: text,
      state: { enum: ['placed', 'cancelled'] },
      currency: text,
      total: decimal,
      lines: { type: 'array', items: object({ sku: text, quantity: count, unit_price: decimal }) },
    }),
    Stock: object({ sku: text, on_hand: { ...count, description: 'What can be sold.' }, reserved: { ...count, description: 'What orders keep.' } }),
  };
}

function object(properties: { readonly [name: string]: unknown }, required = Object.keys(properties)): JsonSchema {
  return { type: 'object', required, properties };
}

function codes(): string {
  const list = Object.entries(REFUSALS).map(([code, title]) => `\`${code}\`: ${title}`);
  return `Why the write was refused. ${list.join(' ')}`;
}
