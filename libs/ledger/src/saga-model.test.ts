import { expect, test } from '@jest/globals';
import { sagasRules, sagaName, type SagaModel } from './saga-model.ts';

const KEY = 'demo/ord-1';
const START_MS = 1_000_000;
const DUE_MS = START_MS + 60_000;
const START = { account: 'acc-1', currency: 'GBP', total: '1.00', stock: [{ sku: 'sku-1', quantity: 1 }], deadline_seconds: 60 };

test('a timeout before its time by the log moves nothing, so a shard that undid its saga for it differs', () => {
  const model: SagaModel = new Map();
  const rules = sagasRules(model);
  let offset = 0n;
  const record = (type: string, data: object, atMs: number) => rules.read({ type, data, idempotencyKey: `\u0001${offset}` }, KEY)?.({ key: KEY, offset: offset++, atMs });
  const state = (): string | undefined => model.get(sagaName(KEY, 'order'))?.state;
  record('order.start', START, START_MS);
  expect(record('saga.timeout', { saga: 'order', due_ms: DUE_MS }, DUE_MS - 1)).toEqual({ code: null });
  expect(state()).toBe('reserving');
  expect(record('saga.timeout', { saga: 'order', due_ms: DUE_MS }, DUE_MS)).toMatchObject({ facts: { state: 'undoing', reason: 'deadline_passed' } });
  expect(state()).toBe('undoing');
});
