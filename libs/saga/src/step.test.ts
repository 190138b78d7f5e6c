import { describe, expect, test } from '@jest/globals';
import type { Phase, RefusalCode } from '@millrace/domain';
import fc from 'fast-check';
import { isOpen, nameOfPart, type OpenSaga, type Part, type Saga } from './saga.ts';
import { begin, partsOf, PHASES, step, type SagaEvent, type Step } from './step.ts';
import { orderParts, START_MS } from './testing/data.ts';

const DUE_MS = START_MS + 900_000;
const NOW_MS = DUE_MS + 7;
const TIMEOUT: SagaEvent = { type: 'timeout', dueMs: DUE_MS };
const CANCEL: SagaEvent = { type: 'cancel', by: 'client' };
const RETRY: SagaEvent = { type: 'retry' };
const PARTS = orderParts(2);

function done(part: Part, phase: Phase): SagaEvent {
  return { type: 'reply', kind: part.kind, id: part.id, phase, done: true };
}

function refusedBy(part: Part, code: RefusalCode = 'insufficient_stock'): SagaEvent {
  return { type: 'reply', kind: part.kind, id: part.id, phase: 'hold', done: false, code, detail: { sku: part.id } };
}

/** The saga after the events, each of which must move it. */
function after(saga: Saga, ...events: readonly SagaEvent[]): Saga {
  return events.reduce((before, event) => moved(step(before, event, NOW_MS)).next, saga);
}

function moved(result: Step) {
  if (result.is !== 'moved') throw new Error(`it is ${result.is}`);
  return result;
}

function sent(result: Step): readonly string[] {
  return moved(result).send.map(({ part, phase }) => `${phase} ${nameOfPart(part)}`);
}

const of = (phase: Phase, parts = PARTS) => parts.map((part) => done(part, phase));
const reserving = (parts = PARTS) => begin({ kind: 'order', parts, dueMs: DUE_MS }, START_MS).next;
const confirming = () => after(reserving(), ...of('hold'));
const confirmed = () => after(confirming(), ...of('confirm'));
const undoing = (event: SagaEvent = refusedBy(PARTS[1]!)) => after(reserving(), event);
const rejected = () => after(undoing(), done(PARTS[0]!, 'release'), done(PARTS[2]!, 'release'));
const cancelled = () => after(undoing(CANCEL), ...of('release'));
const states = { reserving, confirming, confirmed, undoing, rejected, cancelled };
const ALL = Object.entries(states).map(([state, make]) => ({ state, make }));

describe('the way of a saga', () => {
  test('it asks all participants at once', () => {
    const { next, send } = begin({ kind: 'order', parts: PARTS, dueMs: DUE_MS }, START_MS);
    expect(next).toEqual({ state: 'reserving', kind: 'order', parts: PARTS, waiting: [0, 1, 2], dueMs: DUE_MS, attempt: 0, history: [{ state: 'reserving', at_ms: START_MS }] });
    expect(send).toEqual(PARTS.map((part) => ({ part, phase: 'hold' })));
  });

  test('a hold that is not the last one is noted, and asks for nothing', () => {
    const result = step(reserving(), done(PARTS[1]!, 'hold'), NOW_MS);
    expect(result).toEqual({ is: 'moved', next: { ...reserving(), waiting: [0, 2] }, send: [] });
  });

  test('the last hold is the pivot: all are confirmed, and no timer is left', () => {
    const result = step(after(reserving(), ...of('hold').slice(1)), done(PARTS[0]!, 'hold'), NOW_MS);
    expect(sent(result)).toEqual(['confirm account/acc-1', 'confirm stock/s0', 'confirm stock/s1']);
    expect(moved(result).next).toEqual({
      state: 'confirming',
      kind: 'order',
      parts: PARTS,
      waiting: [0, 1, 2],
      attempt: 0,
      history: [
        { state: 'reserving', at_ms: START_MS },
        { state: 'confirming', at_ms: NOW_MS },
      ],
    });
  });

  test('the last confirmation ends it', () => {
    const result = step(after(confirming(), ...of('confirm').slice(1)), done(PARTS[0]!, 'confirm'), NOW_MS);
    expect(sent(result)).toEqual([]);
    expect(moved(result).next).toMatchObject({ state: 'confirmed', history: [{ state: 'reserving' }, { state: 'confirming' }, { state: 'confirmed', at_ms: NOW_MS }] });
    expect(moved(result).next).not.toHaveProperty('waiting');
  });

  test('a refused hold releases the others, also those that have not answered, but not the one that refused', () => {
    const result = step(after(reserving(), done(PARTS[0]!, 'hold')), refusedBy(PARTS[1]!), NOW_MS);
    expect(sent(result)).toEqual(['release account/acc-1', 'release stock/s1']);
    expect(moved(result).next).toMatchObject({ state: 'undoing', ends: 'rejected', cause: { code: 'insufficient_stock', detail: { sku: 's0' } }, waiting: [0, 2] });
    expect(moved(result).next).not.toHaveProperty('dueMs');
  });

  test('the last release ends it, with the reason', () => {
    expect(rejected()).toMatchObject({ state: 'rejected', cause: { code: 'insufficient_stock' }, history: [{ state: 'reserving' }, { state: 'undoing' }, { state: 'rejected' }] });
    expect(cancelled()).toMatchObject({ state: 'cancelled', cause: { code: 'cancelled_by_client' } });
  });

  test('the deadline releases everybody, and names whom it waited for', () => {
    const result = step(after(reserving(), done(PARTS[0]!, 'hold')), TIMEOUT, NOW_MS);
    expect(sent(result)).toEqual(['release account/acc-1', 'release stock/s0', 'release stock/s1']);
    expect(moved(result).next).toMatchObject({ state: 'undoing', ends: 'rejected', cause: { code: 'deadline_passed', detail: { waited_for: 'stock/s0, stock/s1' } } });
  });

  test('a deadline names five participants, and how many more there are', () => {
    expect(undoingOf(after(reserving(orderParts(100)), TIMEOUT)).cause.detail).toEqual({ waited_for: 'account/acc-1, stock/s0, stock/s1, stock/s2, stock/s3 and 96 more' });
  });

  test.each([1, 2, 100, 1_001])('with %i parts it comes to both ends', (count) => {
    const parts = orderParts(1_000).slice(0, count);
    expect(after(reserving(parts), ...of('hold', parts), ...of('confirm', parts)).state).toBe('confirmed');
    expect(after(reserving(parts), TIMEOUT, ...of('release', parts)).state).toBe('rejected');
  });

  test('where the only participant refuses there is nothing to release: it ends at once', () => {
    const one = PARTS.slice(0, 1);
    const result = step(reserving(one), refusedBy(one[0]!, 'insufficient_funds'), NOW_MS);
    expect(result).toMatchObject({ is: 'moved', send: [], next: { state: 'rejected', history: [{ state: 'reserving' }, { state: 'undoing' }, { state: 'rejected' }] } });
  });

  test('an account and a sku of the same id are two participants', () => {
    const parts: readonly Part[] = [
      { kind: 'account', id: 'x', direction: 'out', amount: '1.00', currency: 'GBP' },
      { kind: 'stock', id: 'x', direction: 'out', quantity: 1 },
    ];
    const one = after(reserving(parts), done(parts[1]!, 'hold'));
    expect(one).toMatchObject({ state: 'reserving', waiting: [0] });
    expect(step(one, done(parts[1]!, 'hold'), NOW_MS)).toEqual({ is: 'late' });
    expect(after(one, done(parts[0]!, 'hold')).state).toBe('confirming');
  });
});

describe('S1: every message moves a saga at most once', () => {
  test.each([
    ['hold', reserving],
    ['confirm', confirming],
    ['release', () => undoing(CANCEL)],
  ] as const)('a reply to a %s that comes twice counts once', (phase, make) => {
    const once = after(make(), done(PARTS[1]!, phase));
    expect(step(once, done(PARTS[1]!, phase), NOW_MS)).toEqual({ is: 'late' });
  });

  test.each(ALL)('in state $state a reply to another phase is late', ({ make }) => {
    const saga = make();
    const asked = isOpen(saga) ? PHASES[saga.state] : undefined;
    for (const phase of ['hold', 'confirm', 'release'] as const) {
      for (const part of PARTS) if (phase !== asked) expect(step(saga, done(part, phase), NOW_MS)).toEqual({ is: 'late' });
    }
  });

  test.each(ALL.filter(({ state }) => state !== 'reserving'))('in state $state a late refusal of a hold changes nothing', ({ make }) => {
    for (const part of PARTS) expect(step(make(), refusedBy(part), NOW_MS)).toEqual({ is: 'late' });
  });

  test('a refusal after the hold of another attempt was made changes nothing', () => {
    const held = after(reserving(), RETRY, done(PARTS[1]!, 'hold'));
    expect(step(held, refusedBy(PARTS[1]!), NOW_MS)).toEqual({ is: 'late' });
  });

  test('a confirmation and a release are not refused: a reply that says so does not count', () => {
    for (const [phase, make] of [['confirm', confirming], ['release', undoing]] as const) {
      const reply: SagaEvent = { type: 'reply', kind: 'account', id: 'acc-1', phase, done: false, code: 'insufficient_funds' };
      expect(step(make(), reply, NOW_MS)).toEqual({ is: 'late' });
    }
  });

  test('a reply of somebody who is no participant changes nothing', () => {
    expect(step(reserving(), { type: 'reply', kind: 'stock', id: 'acc-1', phase: 'hold', done: true }, NOW_MS)).toEqual({ is: 'late' });
  });
});

describe('S3: a reply after the timeout, and a timeout after the reply', () => {
  test('a hold that is made after the timeout is late, and its release is waited for', () => {
    const timedOut = after(reserving(), TIMEOUT);
    expect(step(timedOut, done(PARTS[0]!, 'hold'), NOW_MS)).toEqual({ is: 'late' });
    expect(timedOut).toMatchObject({ waiting: [0, 1, 2] });
  });

  test.each(ALL.filter(({ state }) => state !== 'reserving'))('in state $state the timeout is late', ({ make }) => {
    expect(step(make(), TIMEOUT, NOW_MS)).toEqual({ is: 'late' });
  });

  test('a timeout that the log finds early is late: it comes again when it is time', () => {
    expect(step(reserving(), TIMEOUT, DUE_MS - 1)).toEqual({ is: 'late' });
    expect(step(reserving(), TIMEOUT, DUE_MS)).toMatchObject({ is: 'moved', next: { state: 'undoing' } });
  });

  test('a timeout of another deadline is not its own', () => {
    expect(step(reserving(), { type: 'timeout', dueMs: DUE_MS - 1 }, NOW_MS)).toEqual({ is: 'late' });
  });
});

describe('a cancel', () => {
  test('before the pivot releases everybody', () => {
    const result = step(after(reserving(), done(PARTS[0]!, 'hold')), CANCEL, NOW_MS);
    expect(sent(result)).toEqual(['release account/acc-1', 'release stock/s0', 'release stock/s1']);
    expect(moved(result).next).toMatchObject({ state: 'undoing', ends: 'cancelled', cause: { code: 'cancelled_by_client' } });
    expect(after(reserving(), { type: 'cancel', by: 'operator' })).toMatchObject({ cause: { code: 'cancelled_by_operator' } });
  });

  test.each([
    ['confirming', confirming, 'too_late'],
    ['confirmed', confirmed, 'too_late'],
    ['undoing to be rejected', undoing, 'already_rejected'],
    ['undoing to be cancelled', () => undoing(CANCEL), 'already_cancelled'],
    ['rejected', rejected, 'already_rejected'],
    ['cancelled', cancelled, 'already_cancelled'],
  ] as const)('in state %s is refused', (_, make, code) => {
    expect(step(make(), CANCEL, NOW_MS)).toEqual({ is: 'refused', code });
  });
});

describe('a retry', () => {
  test.each([
    ['reserving', () => after(reserving(), done(PARTS[1]!, 'hold')), 'hold'],
    ['confirming', () => after(confirming(), done(PARTS[1]!, 'confirm')), 'confirm'],
    ['undoing', () => after(undoing(CANCEL), done(PARTS[1]!, 'release')), 'release'],
  ] as const)('in state %s asks those again that have not answered, as another attempt', (_, make, phase) => {
    const before = make();
    const result = step(before, RETRY, NOW_MS);
    expect(sent(result)).toEqual([`${phase} account/acc-1`, `${phase} stock/s1`]);
    expect(moved(result).next).toEqual({ ...before, attempt: 1 });
    expect(moved(step(moved(result).next, RETRY, NOW_MS)).next).toMatchObject({ attempt: 2 });
  });

  test.each([confirmed, rejected, cancelled])('of a saga that has ended is refused', (make) => {
    expect(step(make(), RETRY, NOW_MS)).toEqual({ is: 'refused', code: 'already_ended' });
  });

  test('once made, also a participant that refused is released: it may have held the second attempt', () => {
    const result = step(after(reserving(), RETRY), refusedBy(PARTS[1]!), NOW_MS);
    expect(sent(result)).toEqual(['release account/acc-1', 'release stock/s0', 'release stock/s1']);
  });
});

test('S5: a saga without participants would never end, and does not begin', () => {
  expect(() => reserving([])).toThrow('S5');
});

test('a claim stays with its saga to the end', () => {
  const claim = [{ line: 0, quantity: 2 }];
  const { next } = begin({ kind: 'return', parts: PARTS, dueMs: DUE_MS, claim }, START_MS);
  for (const events of [[...of('hold'), ...of('confirm')], [CANCEL, ...of('release')]]) {
    events.reduce((saga, event) => {
      const then = after(saga, event);
      expect(then.claim).toEqual(claim);
      return then;
    }, next as Saga);
  }
});

const anyEvent: fc.Arbitrary<SagaEvent> = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(fc.constantFrom(...PARTS), fc.constantFrom<Phase>('hold', 'hold', 'confirm', 'release')).map(([part, phase]) => done(part, phase)) },
  { weight: 1, arbitrary: fc.constantFrom(...PARTS).map((part) => refusedBy(part)) },
  { weight: 1, arbitrary: fc.constantFrom(TIMEOUT, CANCEL, RETRY) },
);
const NEXT: Readonly<Record<string, readonly string[]>> = { reserving: ['confirming', 'undoing'], confirming: ['confirmed'], undoing: ['rejected', 'cancelled'] };

test('S1 S5: whatever comes, the same event moves nothing twice, the history goes one way, and an ended saga stays as it is', () => {
  fc.assert(
    fc.property(fc.array(anyEvent, { maxLength: 40 }), (events) => {
      let saga: Saga = reserving();
      for (const event of events) {
        const result = step(saga, event, NOW_MS);
        if (result.is !== 'moved') continue;
        expect(isOpen(saga)).toBe(true);
        saga = result.next;
        if (event.type !== 'retry') expect(step(saga, event, NOW_MS).is).not.toBe('moved');
        if (isOpen(saga)) expect(partsOf(saga).length).toBeGreaterThan(0);
        for (const [index, { state }] of saga.history.slice(1).entries()) expect(NEXT[saga.history[index]!.state]).toContain(state);
        expect(saga.history.at(-1)!.state).toBe(saga.state);
      }
    }),
  );
});

function undoingOf(saga: Saga): OpenSaga & { readonly state: 'undoing' } {
  if (saga.state !== 'undoing') throw new Error(`it is ${saga.state}`);
  return saga;
}
