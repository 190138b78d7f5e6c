/** The checker over what the log decides: what is parked and released, what the log has no more, and what receipts name in it. */
import { describe, expect, test } from '@jest/globals';
import { digestOf, type Offset, type Slot } from '@millrace/write';
import { slotOf } from '@millrace/ring';
import { checkLedger } from './check.ts';
import { simulate, type Step, type World } from './testing/simulate.ts';
import { authorize, deposit, invalid, open, release } from './testing/steps.ts';
import { HISTORY, OWNERS, rowOf, worldOf, type MutableRows } from './testing/world.ts';
import { formatVerdict } from './verdict.ts';

describe('parking and release', () => {
  test('a release lets the followers go on in order, and stops at the next that cannot', () => {
    const { world, at } = worldOf([open('acc-1'), invalid('acc-1'), deposit('acc-1', '1.00'), invalid('acc-1'), deposit('acc-1', '2.00'), release('acc-1', 'skip')]);
    expect(checkLedger(world)).toMatchObject({ clean: true, parked: 2, refused: 1, applied: 3 });
    expect(at('acc-1').accounts[0]!.balance).toBe(100n);
  });

  test('a record that Postgres refused is parked on the shard’s word, and applied where a release let it go', () => {
    const steps = [open('acc-1'), deposit('acc-1', '3.00', { poison: 1 }), authorize('acc-1', 'pay-1', '2.00')];
    expect(checkLedger(worldOf(steps).world)).toMatchObject({ clean: true, parked: 2, parkedOnTrust: 1 });
    expect(checkLedger(worldOf([...steps, release('acc-1', 'retry')]).world)).toMatchObject({ clean: true, parked: 0, applied: 4 });
  });

  test('a release that Postgres refused again lets nothing go', () => {
    const steps = [open('acc-1'), deposit('acc-1', '3.00', { poison: 2 }), deposit('acc-1', '1.00'), release('acc-1', 'retry')];
    expect(checkLedger(worldOf(steps).world)).toMatchObject({ clean: true, parked: 2, refused: 1, applied: 1 });
    expect(checkLedger(worldOf([...steps, release('acc-1', 'retry')]).world)).toMatchObject({ clean: true, parked: 0, applied: 4 });
  });

  test('a release that claims to have let nothing go, though its followers went', () => {
    const { world, at } = worldOf([open('acc-1'), deposit('acc-1', '3.00', { poison: 1 }), release('acc-1', 'retry')]);
    Object.assign(rowOf(at('acc-1'), 'parked.release'), { outcome: 'refused', code: 'still_parked' });
    expect(checkLedger(world)).toMatchObject({ clean: false, wrongBalance: 1 });
  });

  test('a release may let only some go, and the next one the rest', () => {
    const { world, at } = worldOf([open('acc-1'), invalid('acc-1'), deposit('acc-1', '1.00'), release('acc-1', 'skip'), release('acc-1', 'retry')]);
    const rows = at('acc-1');
    const [first, second] = rows.streams.writes.journal.filter(({ type }) => type === 'parked.release');
    rowOf(rows, 'account.deposit').releasedBy = String(second!.offset);
    Object.assign(second!, { outcome: 'applied', code: null });
    expect(checkLedger(world)).toMatchObject({ clean: true, applied: 4 });
    rowOf(rows, 'account.deposit').releasedBy = String(first!.offset + 100n);
    expect(checkLedger(world).clean).toBe(false);
  });

  test('a skipped write is a duplicate when it is sent again, and a shard that forgot it is caught', () => {
    const poison = deposit('acc-1', '3.00', { poison: 9 });
    const { world, at } = worldOf([open('acc-1'), poison, release('acc-1', 'skip'), { ...poison, poison: 0 }]);
    expect(checkLedger(world)).toMatchObject({ clean: true, applied: 2, refused: 1, duplicates: 1 });
    at('acc-1').streams.writes.journal.find(({ code }) => code === 'skipped_by_operator')!.digest = null;
    expect(checkLedger(world).clean).toBe(false);
  });

  test('a released record that was applied out of order', () => {
    const { world, at } = worldOf([open('acc-1'), invalid('acc-1'), authorize('acc-1', 'pay-1', '2.00'), deposit('acc-1', '3.00'), release('acc-1', 'skip')]);
    Object.assign(rowOf(at('acc-1'), 'payment.authorize'), { outcome: 'applied', code: null });
    expect(checkLedger(world)).toMatchObject({ clean: false, outOfOrder: 1 });
  });
});

describe('the log', () => {
  test('records above the position are not yet applied, and that is not clean', () => {
    const { world, at, slot } = worldOf([open('acc-1')]);
    const verdict = checkLedger({ ...world, log: [...world.log, ...worldOf([open('acc-1'), deposit('acc-1', '1.00')]).world.log.slice(1)] });
    expect(at('acc-1').streams.writes.position!.nextOffset).toBe(1n);
    expect(verdict).toMatchObject({ clean: false, notYetApplied: 1, lost: 0, wrongBalance: 0 });
    expect(verdict.differences[0]).toMatchObject({ kind: 'not_yet_applied', slot: slot('acc-1'), actual: 'position 1, 1 records behind' });
  });

  test('while something moves, the sums are not judged; that is told, and a difference where all must have ended', () => {
    const { world } = worldOf([open('acc-1')]);
    const lagging = { ...world, log: [...world.log, ...worldOf([open('acc-1'), deposit('acc-1', '1.00')]).world.log.slice(1)] };
    expect(checkLedger({ ...world, requireEnded: true })).toMatchObject({ clean: true, sumsJudged: true, notEnded: 0 });
    const verdict = checkLedger(lagging);
    expect(verdict).toMatchObject({ sumsJudged: false, notEnded: 0 });
    expect(formatVerdict(verdict)).toContain('sums of money and stock not judged');
    expect(checkLedger({ ...lagging, requireEnded: true })).toMatchObject({ sumsJudged: false, notEnded: 1 });
  });

  test('a log that no longer reaches back to the start is said to be unchecked', () => {
    const { world, slot } = worldOf();
    const low = 2n;
    const ends = OWNERS.map((_, index) => {
      const records = world.log.filter((record) => record.slot === (index as Slot));
      return { slot: index as Slot, low: index === slot('acc-1') ? low : 0n, high: BigInt(records.length) };
    });
    const log = world.log.filter((record) => record.slot !== (slot('acc-1') as Slot) || record.offset >= low);
    const verdict = checkLedger({ ...world, log, ends });
    expect(verdict).toMatchObject({ clean: false, logTruncated: 1, differencesFound: 1 });
    expect(verdict.differences[0]!.actual).toContain('were not checked');
    expect(formatVerdict(verdict)).toContain('NOT CHECKED');
  });

  test('records that Kafka dropped before they were applied are lost', () => {
    const { world, at, slot } = worldOf([open('acc-1'), deposit('acc-1', '1.00')]);
    at('acc-1').streams.writes.position = { nextOffset: 0n, relayedOffset: 0n };
    const ends = OWNERS.map((_, index) => ({ slot: index as Slot, low: index === slot('acc-1') ? 1n : 0n, high: index === slot('acc-1') ? 2n : 0n }));
    expect(checkLedger({ ...world, log: world.log.slice(1), ends })).toMatchObject({ clean: false, lost: 1 });
  });

  test('a log that could not be read to its end is said so', () => {
    const { world } = worldOf([open('acc-1')]);
    const ends = OWNERS.map((_, index) => ({ slot: index as Slot, low: 0n, high: index === 0 ? 5n : 1n }));
    expect(checkLedger({ ...world, ends }).logUnread).toBeGreaterThan(0);
  });

  test('a record in a slot that its key does not lead to must be parked', () => {
    const { world, slot } = worldOf([open('acc-1')]);
    const other = OWNERS.findIndex((_, index) => index !== slot('acc-1')) as Slot;
    const moved = { ...world.log[0]!, slot: other };
    const { shards } = simulate([], OWNERS);
    const at = shards.find(({ shard }) => shard === OWNERS[other])!.slots.get(other) as unknown as MutableRows;
    at.streams.writes.position = { nextOffset: 1n, relayedOffset: 1n };
    at.streams.writes.parked.push({ offset: 0n, key: 'demo/acc-1', value: moved.value, atMs: moved.timestampMs });
    expect(checkLedger({ owners: OWNERS, log: [moved], shards })).toMatchObject({ clean: true, parked: 1, parkedOnTrust: 0 });
  });
});

describe('what the log alone decides', () => {
  test('a record whose key is not its own id must be parked', () => {
    const [own] = simulate([open('acc-1')], OWNERS).log;
    const slot = slotOf('demo/acc-2', OWNERS.length);
    const record = { ...own!, slot, key: Buffer.from('demo/acc-2') };
    const { shards } = simulate([], OWNERS);
    const at = shards.find(({ shard }) => shard === OWNERS[slot])!.slots.get(slot) as unknown as MutableRows;
    at.streams.writes.position = { nextOffset: 1n, relayedOffset: 1n };
    expect(checkLedger({ owners: OWNERS, log: [record], shards })).toMatchObject({ clean: false, lost: 1 });
    at.streams.writes.parked.push({ offset: 0n, key: 'demo/acc-2', value: record.value, atMs: record.timestampMs });
    expect(checkLedger({ owners: OWNERS, log: [record], shards })).toMatchObject({ clean: true, parked: 1, parkedOnTrust: 0 });
  });
});

describe('receipts', () => {
  const receiptsOf = ({ log }: World, steps: readonly Step[]): { slot: Slot; offset: Offset; digest: ReturnType<typeof digestOf> }[] =>
    log.map(({ slot, offset }, index) => ({ slot, offset, digest: digestOf(steps[index]!.key, steps[index]!.idempotencyKey) }));

  test('every receipt names a record of the log, duplicates and parked ones too', () => {
    const { world } = worldOf();
    expect(checkLedger({ ...world, acked: receiptsOf(world, HISTORY) })).toMatchObject({ clean: true, acked: HISTORY.length });
  });

  test('a receipt that the log does not hold is a lost write', () => {
    const { world } = worldOf();
    const acked = receiptsOf(world, HISTORY);
    acked.push({ ...acked[0]!, offset: 99n as Offset });
    acked[3] = { ...acked[3]!, digest: digestOf('demo/acc-1', 'never sent') };
    expect(checkLedger({ ...world, acked })).toMatchObject({ clean: false, lost: 2 });
  });

  test('two receipts cannot name one record, whichever of them is right, nor a slot that does not exist', () => {
    const { world } = worldOf();
    const [first] = receiptsOf(world, HISTORY);
    const other = { ...first!, digest: digestOf('demo/acc-1', 'another') };
    expect(checkLedger({ ...world, acked: [first!, other] })).toMatchObject({ clean: false, lost: 1 });
    expect(checkLedger({ ...world, acked: [other, first!] }).clean).toBe(false);
    expect(checkLedger({ ...world, acked: [first!, { ...first!, slot: 400 as Slot }] })).toMatchObject({ clean: false, lost: 1 });
  });
});
