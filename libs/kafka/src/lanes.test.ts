/** The lanes over brokers that fail on demand; over real ones: test/integration/kafka-lanes.kafka.test.ts. */
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { createLog, sleep } from '@millrace/runtime';
import type { Offset } from '@millrace/write';
import fc from 'fast-check';
import { KafkaUnavailable, LaneFull, ProduceUnknown } from './errors.ts';
import { openLanes } from './lanes.ts';
import { createFakeCluster, STORED, type Behaviour, type FakeCluster, type Fate } from './testing/fake-cluster.ts';
import type { LaneLimits, Lanes } from './types.ts';

const LIMITS: LaneLimits = { recordsPerRequestMax: 8, queuedRecordsMax: 10_000, queuedBytesMax: 1 << 20, bytesPerRequestMax: 10_000, requestTimeoutMs: 30_000 };
const log = createLog({ name: 'test', level: 'silent' });
const NOT_ENOUGH_REPLICAS: Fate = { errorCode: 19, stored: false };
const TIMED_OUT: Fate = { errorCode: 7, stored: true };

// The waits are 0 to n ms by chance: none.
beforeEach(() => void jest.spyOn(Math, 'random').mockReturnValue(0));
afterEach(() => void jest.restoreAllMocks());

function open(behaviour: Behaviour, limits: Partial<LaneLimits> = {}, onLeadersAsked?: () => Promise<void>): { readonly cluster: FakeCluster; readonly lanes: Lanes } {
  const cluster = createFakeCluster(behaviour);
  const lanes = openLanes({
    topic: 'writes',
    clientId: 'test',
    log,
    limits: { ...LIMITS, ...limits },
    leaders: cluster.findLeaders(),
    findLeaders: async () => {
      await onLeadersAsked?.();
      return cluster.findLeaders();
    },
    connect: cluster.connect,
  });
  return { cluster, lanes };
}

const turn = (): Promise<void> => new Promise(setImmediate);
const send = (lanes: Lanes, slot: number, value: string): Promise<{ readonly offset: bigint }> => lanes.send({ slot, key: 'k', value });

const NODES = 2;

/** A fault of one request, and what changes while it is under way. */
const step = fc.record({
  fault: fc.constantFrom('none', 'none', 'none', 'slots', 'slots', 'lost', 'unsent', 'unreachable'),
  errorCodes: fc.array(fc.constantFrom(0, 0, 6, 19, 5, 20, 7), { minLength: 4, maxLength: 4 }),
  storedAnyway: fc.boolean(),
  turns: fc.nat(4),
  /** NODES is nobody. */
  leaderOf: fc.option(fc.record({ slot: fc.nat(3), node: fc.nat(NODES) }), { nil: undefined }),
  sends: fc.array(fc.nat(3), { maxLength: 6 }),
});

const STORED_UNSAID = new Set([7, 20]);

test('L1-L4 whatever fails and whoever leads: each slot is stored in the order of sending, copies behind themselves, at the offsets that were told', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (script) => {
      const steps = [...script];
      const sent: { readonly slot: number; readonly value: string; readonly ended: Promise<{ readonly offset: bigint }> }[] = [];
      const faults = new WeakMap<object, (typeof steps)[number]>();
      let unreachable = false;
      const { cluster, lanes } = open({
        slots: 4,
        nodes: NODES,
        onConnect: () => {
          const refuses = unreachable;
          unreachable = false;
          if (refuses) throw new Error('unreachable');
        },
        onRequest: async (request) => {
          const fault = steps.shift();
          if (fault === undefined) return;
          faults.set(request, fault);
          for (const slot of fault.sends) push(slot);
          if (fault.leaderOf !== undefined) cluster.leaders[fault.leaderOf.slot] = fault.leaderOf.node;
          for (let i = 0; i < fault.turns; i += 1) await turn();
          unreachable = fault.fault === 'unreachable';
          if (fault.fault === 'unsent' || unreachable) throw new Error('not sent');
        },
        fateOf: (slot, request) => {
          const fault = faults.get(request);
          if (fault?.fault !== 'slots') return STORED;
          const errorCode = fault.errorCodes[slot]!;
          return { errorCode, stored: errorCode === 0 || (STORED_UNSAID.has(errorCode) && fault.storedAnyway) };
        },
        onAnswer: async (request) => {
          const fault = faults.get(request);
          for (let i = 0; i < (fault?.turns ?? 0); i += 1) await turn();
          if (fault?.fault === 'lost') throw new Error('lost');
        },
      });
      function push(slot: number): void {
        const value = String(sent.length);
        sent.push({ slot, value, ended: send(lanes, slot, value) });
      }
      for (let i = 0; i < 24; i += 1) push((i * 7) % 4);
      // A slot without a leader gets one after a moment.
      const elections = setInterval(() => {
        for (const [slot, node] of cluster.leaders.entries()) if (node === NODES) cluster.leaders[slot] = slot % NODES;
      }, 2);
      for (let i = 0; i < sent.length; i += 1) {
        const { slot, value, ended } = sent[i]!;
        const { offset } = await ended;
        expect(cluster.stored.get(slot)![Number(offset)]).toBe(value);
      }
      clearInterval(elections);
      await lanes.close();
      expect(lanes.queued()).toEqual({ records: 0, bytes: 0 });
      for (const [slot, values] of cluster.stored) {
        const expected = sent.filter((one) => one.slot === slot).map(({ value }) => value);
        expect([...new Set(values)]).toEqual(expected);
        expect([...new Set([...values].reverse())].reverse()).toEqual(expected);
      }
    }),
    { numRuns: 300 },
  );
});

describe('a slot that its broker does not store', () => {
  test('L5 holds up none beside it, even where its own requests get no answer, and goes on in order when it is well', async () => {
    let sick = true;
    const held = Promise.withResolvers<void>();
    const { cluster, lanes } = open({
      slots: 4,
      nodes: 1,
      onRequest: ({ slots }) => (slots.size === 1 && slots.has(0) && sick ? held.promise : undefined),
      fateOf: (slot) => (slot === 0 && sick ? NOT_ENOUGH_REPLICAS : STORED),
    });
    const beside = send(lanes, 1, 'beside');
    const waiting = Promise.all(Array.from({ length: 20 }, (_, i) => send(lanes, 0, `sick ${i}`)));
    await beside;
    for (let i = 0; i < 50; i += 1) await send(lanes, 1 + (i % 3), `well ${i}`);
    expect(cluster.stored.get(0) ?? []).toEqual([]);
    const late = send(lanes, 0, 'late');
    sick = false;
    held.resolve();
    await waiting;
    await late;
    await lanes.close();
    expect(cluster.stored.get(0)).toEqual([...Array.from({ length: 20 }, (_, i) => `sick ${i}`), 'late']);
  });

  test('L5 takes no request of its own once it is well', async () => {
    let refusals = 3;
    const { cluster, lanes } = open({ slots: 2, nodes: 1, fateOf: (slot) => (slot === 0 && (refusals -= 1) >= 0 ? NOT_ENOUGH_REPLICAS : STORED) });
    await Promise.all([send(lanes, 0, 'a'), send(lanes, 1, 'b')]);
    const before = cluster.requests.length;
    await Promise.all(Array.from({ length: 8 }, (_, i) => send(lanes, i % 2, `after ${i}`)));
    expect(cluster.requests.length - before).toBe(1);
    await lanes.close();
  });

  test('is tried with one record, so that little is stored twice where the broker stores without saying so', async () => {
    let timeouts = 4;
    const { cluster, lanes } = open({ slots: 1, nodes: 1, fateOf: () => ((timeouts -= 1) >= 0 ? TIMED_OUT : STORED) });
    await Promise.all(['a', 'b', 'c'].map((value) => send(lanes, 0, value)));
    expect(cluster.stored.get(0)).toEqual(['a', 'b', 'c', 'a', 'a', 'a', 'a', 'b', 'c']);
    await lanes.close();
  });

  test('is given up at its deadline: as unknown where one attempt may have stored it, as not stored otherwise', async () => {
    let attempts = 0;
    const { lanes } = open(
      {
        slots: 4,
        nodes: 1,
        fateOf: (slot) => {
          if (slot === 0) return NOT_ENOUGH_REPLICAS;
          if (slot === 1) return TIMED_OUT;
          if (slot === 2) return (attempts += 1) === 2 ? TIMED_OUT : NOT_ENOUGH_REPLICAS;
          return STORED;
        },
      },
      { requestTimeoutMs: 100 },
    );
    const many = lanes.sendMany([{ slot: 0, key: 'k', value: 'one' }, { slot: 0, key: 'k', value: 'two' }]);
    const outcomes = await Promise.allSettled([...[0, 1, 2, 3].map((slot) => send(lanes, slot, 'x')), many]);
    expect(outcomes.map((outcome) => (outcome.status === 'rejected' ? (outcome.reason as Error).name : 'stored'))).toEqual([
      KafkaUnavailable.name,
      ProduceUnknown.name,
      ProduceUnknown.name,
      'stored',
      KafkaUnavailable.name,
    ]);
    expect(lanes.queued()).toEqual({ records: 0, bytes: 0 });
    await lanes.close();
  });

  test('keeps what is stored beside it from being sent again: whoever sent many knows which', async () => {
    const { lanes } = open({ slots: 2, nodes: 1, fateOf: (slot) => (slot === 0 ? NOT_ENOUGH_REPLICAS : STORED) }, { requestTimeoutMs: 100 });
    const stored: bigint[] = [];
    const records = [0, 1, 0, 1].map((slot) => ({ slot, key: 'k', value: 'v' }));
    await expect(lanes.sendMany(records, stored as Offset[])).rejects.toThrow();
    expect(records.map((_, at) => stored[at])).toEqual([undefined, 0n, undefined, 1n]);
    await lanes.close();
  });

  test.each([
    ['waits for room meanwhile', 1, [0, 0, 0]],
    ['came into the lane later', 2, [0, 1, 0]],
  ])('takes with it, when it is given up, what was sent together with it and %s', async (_, queuedRecordsMax, slots) => {
    const asked = [0, 0];
    // Slot 0 is well once its first record is given up, slot 1 before.
    const fateOf = (slot: number): Fate => ((asked[slot] = (asked[slot] ?? 0) + 1) <= (slot === 0 ? 3 : 1) ? NOT_ENOUGH_REPLICAS : STORED);
    const { cluster, lanes } = open({ slots: 2, nodes: 1, fateOf }, { recordsPerRequestMax: 1, queuedRecordsMax, requestTimeoutMs: 100 }, () => sleep(100));
    await expect(lanes.sendMany(slots.map((slot, at) => ({ slot, key: 'k', value: `${at}` })))).rejects.toThrow();
    expect(cluster.stored.get(0) ?? []).toEqual([]);
    await send(lanes, 0, 'after');
    expect(cluster.stored.get(0)).toEqual(['after']);
    await lanes.close();
  });

  test('counts in the limits of the queue while it waits', async () => {
    let sick = true;
    const { lanes } = open({ slots: 2, nodes: 1, fateOf: (slot) => (slot === 0 && sick ? NOT_ENOUGH_REPLICAS : STORED) }, { queuedRecordsMax: 10 });
    const waiting = Array.from({ length: 9 }, (_, i) => send(lanes, 0, `sick ${i}`));
    await send(lanes, 1, 'room for one');
    waiting.push(send(lanes, 0, 'sick 9'));
    await expect(send(lanes, 1, 'no room')).rejects.toBeInstanceOf(LaneFull);
    expect(lanes.queued().records).toBe(10);
    sick = false;
    expect((await Promise.all(waiting)).map(({ offset }) => offset)).toEqual(Array.from({ length: 10 }, (_, i) => BigInt(i)));
    await lanes.close();
  });
});

describe('leaders', () => {
  test('are asked for again before a slot is sent again', async () => {
    const { cluster, lanes } = open({ slots: 1, nodes: 2 });
    cluster.leaders[0] = 1;
    await send(lanes, 0, 'a');
    await lanes.close();
    expect(cluster.requests.map(({ node }) => node)).toEqual([0, 1]);
  });

  test.each([
    ['idle', 3],
    ['about to rest', 0],
  ])('that are new reach a lane that is %s', async (_, turns) => {
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<void>();
    let refusals = 1;
    const fateOf = (slot: number): Fate => (slot === 0 && (refusals -= 1) >= 0 ? NOT_ENOUGH_REPLICAS : STORED);
    const { cluster, lanes } = open({ slots: 2, nodes: 2, fateOf }, {}, async () => {
      asked.resolve();
      await answer.promise;
    });
    const other = send(lanes, 0, 'a');
    await asked.promise;
    await send(lanes, 1, 'b');
    for (let i = 0; i < turns; i += 1) await turn();
    cluster.leaders[1] = 0;
    answer.resolve();
    await other;
    await turn();
    await send(lanes, 1, 'c');
    await lanes.close();
    expect(cluster.requests.filter(({ slots }) => slots.has(1)).map(({ node }) => node)).toEqual([1, 0]);
  });
});

describe('a broker that is gone', () => {
  test.each([
    ['took the request', { onAnswer: () => Promise.reject(new Error('lost')) }, ProduceUnknown],
    ['cannot be reached', { onConnect: () => { throw new Error('unreachable'); } }, KafkaUnavailable],
  ])('%s', async (_, behaviour, expected) => {
    const { lanes } = open({ slots: 1, nodes: 1, ...behaviour }, { requestTimeoutMs: 100 });
    await expect(send(lanes, 0, 'a')).rejects.toBeInstanceOf(expected);
    await lanes.close();
  });

  test('and had closed the idle connection before: nothing was sent', async () => {
    let gone = false;
    const onConnect = (): void => {
      if (gone) throw new Error('unreachable');
    };
    const { cluster, lanes } = open({ slots: 1, nodes: 1, onConnect }, { requestTimeoutMs: 100 });
    await send(lanes, 0, 'a');
    gone = true;
    cluster.closeLinks();
    await expect(send(lanes, 0, 'b')).rejects.toBeInstanceOf(KafkaUnavailable);
    await lanes.close();
  });
});

test('a lane that gathers: behind few records the next request waits for company, the first after a quiet time goes at once', async () => {
  const { cluster, lanes } = open({ slots: 2, nodes: 1 }, { gatherMs: 40 });
  const requests = (): string[] => cluster.requests.map(({ slots }) => [...slots.values()].flat().join(' '));
  await send(lanes, 0, 'first');
  const sent: Promise<unknown>[] = [];
  for (const value of ['a', 'b', 'c']) {
    sent.push(send(lanes, 0, value));
    await turn();
  }
  expect(requests()).toEqual(['first']);
  await Promise.all(sent);
  // As many as make a request of their own are not kept waiting.
  await Promise.all(Array.from({ length: 8 }, (_, i) => send(lanes, 0, String(i))));
  expect(requests()).toEqual(['first', 'a b c', '0 1 2 3 4 5 6 7']);
  await lanes.close();
});

test('a broker is asked to answer for each slot before the request is given up', async () => {
  const { cluster, lanes } = open({ slots: 1, nodes: 1 });
  await send(lanes, 0, 'a');
  await lanes.close();
  expect(cluster.requests[0]!.brokerTimeoutMs).toBeLessThan(cluster.requests[0]!.timeoutMs);
});
