import { describe, expect, test } from '@jest/globals';
import { KafkaUnavailable, type Lanes } from '@millrace/kafka';
import type { Database, Sql } from '@millrace/postgres';
import { must, type BodyHash, type Offset, type ShardId, type Slot } from '@millrace/write';
import type { SlotResult } from './admit.ts';
import type { JournalRow } from './fold.ts';
import type { ProcessorMetrics } from './metrics.ts';
import { createRelay } from './relay.ts';
import type { TurnResult } from './turn.ts';

const slot = 0 as Slot;
const offset = (at: bigint): Offset => at as Offset;

/** A relay whose journal has no rows and answers when told; what it saved. */
function relay(outcomes = {} as Lanes) {
  const saved: Sql[] = [];
  const answers: (() => void)[] = [];
  const database: Partial<Database> = {
    query<R>(sql: Sql) {
      if (!sql.text.includes('from journal')) saved.push(sql);
      return new Promise<readonly R[]>((resolve) => (sql.text.includes('from journal') ? answers.push(() => resolve([])) : resolve([])));
    },
  };
  const metrics: Partial<ProcessorMetrics> = { relayWaits: () => undefined, relayed: () => undefined, relayFailed: () => undefined };
  const { signal } = new AbortController();
  const made = createRelay({
    shard: 'a' as ShardId,
    model: { stream: 'writes', isPublic: () => true },
    slots: 1,
    database: database as Database,
    publishers: { outcomes, streams: new Map() },
    metrics: metrics as ProcessorMetrics,
    signal,
    onBug: (error) => {
      throw error;
    },
  });
  const add = (result: SlotResult): void => made.add({ slots: [result], journal: [], duplicates: 0, parked: 0, records: 0 } satisfies TurnResult);
  return { ...made, addTurn: made.add, add, saved, answer: () => must(answers.shift(), 'a question to the journal')() };
}

const applied: SlotResult = { kind: 'applied', slot, before: offset(5n), relayed: offset(3n), next: offset(5n) };
const elsewhere: SlotResult = { kind: 'elsewhere', slot, movedTo: 'b' as ShardId };

test('what was stored beside a sick slot is not sent again; of the slot itself all that follows what was not', async () => {
  const sends: (readonly string[])[] = [];
  const sendMany: Lanes['sendMany'] = async (records, stored = []) => {
    sends.push(records.map(({ value }) => String(value)));
    if (sends.length > 2) return [];
    // Slot 0 stores its second record and slot 1 all; then slot 0 stores nothing.
    if (sends.length === 1) for (const at of [1, 2, 3]) stored[at] = offset(BigInt(at));
    throw new KafkaUnavailable('not now');
  };
  const at = relay({ sendMany } satisfies Partial<Lanes> as Partial<Lanes> as Lanes);
  const journal = [0, 0, 1, 0, 1].map((id, at): JournalRow => ({ record: { slot: id as Slot, offset: offset(BigInt(at)), key: 'demo/a', value: null, atMs: 0 }, bodyHash: 0n as BodyHash, digest: null, type: 't', outcome: 'applied', detail: null, messages: null }));
  at.addTurn({ slots: [{ kind: 'applied', slot, before: offset(0n), relayed: offset(0n), next: offset(5n) }], journal, duplicates: 0, parked: 0, records: 5 });
  await at.drain();
  const all = must(sends[0], 'the first');
  expect(all).toHaveLength(5);
  expect(sends.slice(1)).toEqual([[all[0], all[1], all[3], all[4]], [all[0], all[1], all[3], all[4]]]);
});

describe('the relay position of a slot', () => {
  test('is told and saved once its events are out', async () => {
    const at = relay();
    at.add(applied);
    await Promise.resolve();
    at.answer();
    await at.drain();
    expect(at.relayedOf(slot)).toBe(5n);
    await at.save();
    expect(at.saved).toHaveLength(1);
  });

  test('that left before it was saved is another shard’s to save', async () => {
    const at = relay();
    at.add(applied);
    await Promise.resolve();
    at.answer();
    await at.drain();
    at.add(elsewhere);
    await at.save();
    expect([at.saved.length, at.relayedOf(slot)]).toEqual([0, 0n]);
  });

  test('that left while its events were on their way is neither told nor saved', async () => {
    const at = relay();
    at.add(applied);
    await Promise.resolve();
    at.add(elsewhere);
    at.answer();
    await at.drain();
    await at.save();
    expect([at.saved.length, at.relayedOf(slot)]).toEqual([0, 0n]);
  });
});
