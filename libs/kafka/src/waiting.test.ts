import { expect, test } from '@jest/globals';
import type { Offset } from '@millrace/write';
import { KafkaUnavailable, ProduceUnknown } from './errors.ts';
import { confirmOne, refuseOne, type Many, type Waiting } from './waiting.ts';

function together(count: number): { readonly ended: Promise<unknown>; readonly records: readonly Waiting[] } {
  const { promise, resolve, reject } = Promise.withResolvers<readonly Offset[]>();
  const many: Many = { topic: 'writes', offsets: [], left: count, stored: 0, error: undefined, resolve, reject };
  const one = { slot: 0, key: null, keyBytes: 0, value: '', valueBytes: 0, headers: undefined, headersBytes: 0, sinceMs: 0, maybeStored: false, resolve: undefined, reject: undefined, many };
  return { ended: promise.catch((error: unknown) => error), records: Array.from({ length: count }, (_, index) => ({ ...one, index })) };
}
const offset = 7n as Offset;

test('records sent together of which one is stored are never told as not stored', async () => {
  const { ended, records } = together(2);
  confirmOne(records[0]!, offset);
  refuseOne(records[1]!, new KafkaUnavailable('not sent'));
  expect(await ended).toBeInstanceOf(ProduceUnknown);
});

test('what may be stored wins over what is not, in whichever order they settle', async () => {
  const { ended, records } = together(2);
  refuseOne(records[0]!, new KafkaUnavailable('not sent'));
  refuseOne(records[1]!, new ProduceUnknown('writes'));
  expect(await ended).toBeInstanceOf(ProduceUnknown);
});

test('records of which none left the process are told so', async () => {
  const { ended, records } = together(2);
  for (const record of records) refuseOne(record, new KafkaUnavailable('not sent'));
  expect(await ended).toBeInstanceOf(KafkaUnavailable);
});
