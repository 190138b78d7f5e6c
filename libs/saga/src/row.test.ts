import { expect, test } from '@jest/globals';
import { saga as sagaTable, type SagaRef } from '@millrace/domain';
import fc from 'fast-check';
import { rowOf, sagaOf } from './row.ts';
import { anySaga } from './testing/data.ts';

const ref = { key: 'demo/ord-1', saga: 'order' } as SagaRef;

test('a saga comes back from its row as it was, through the JSON of its body', () => {
  fc.assert(
    fc.property(anySaga, (saga) => {
      const row = rowOf(ref, saga);
      const body = JSON.parse(JSON.stringify(row.body)) as object;
      expect(sagaOf({ ...row, body })).toEqual(saga);
    }),
  );
});

test('a row has the columns of its table: its times, and a timer only while it reserves', () => {
  fc.assert(
    fc.property(anySaga, (saga) => {
      const row = rowOf(ref, saga);
      expect(Object.keys(row).sort()).toEqual(Object.keys(sagaTable.columns).sort());
      expect(row).toMatchObject({ ...ref, state: saga.state, started_ms: BigInt(saga.history[0]!.at_ms), changed_ms: BigInt(saga.history.at(-1)!.at_ms) });
      expect(row.due_ms).toBe(saga.state === 'reserving' ? BigInt(saga.dueMs) : null);
    }),
  );
});
