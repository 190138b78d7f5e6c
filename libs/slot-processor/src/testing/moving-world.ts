/**
 * A world for tests in which slots move while a process follows them: a log, a consumer, shards with their rows, lanes
 * that take turns. Placing, intake and what is kept are the real ones; nothing happens but what a step does.
 */
import type { SlotBatch, SlotConsumer, SlotRecord } from '@millrace/kafka';
import { createTopology } from '@millrace/ring';
import { UnknownShard, type TopologyFollower } from '@millrace/topology';
import { must, type Epoch, type Offset, type ShardId, type Slot } from '@millrace/write';
import { admit, type SlotResult } from '../admit.ts';
import { directionOf, type Search } from '../find-shard.ts';
import { createIntake } from '../intake.ts';
import { createKept } from '../kept.ts';
import type { Lane, LaneEvents } from '../lane.ts';
import type { ProcessorMetrics } from '../metrics.ts';
import type { Slice } from '../model.ts';
import { createPlacing } from '../placing.ts';
import { createSliceQueue } from '../queue.ts';
import type { ShardLanes, ShardParts } from '../shard-lanes.ts';
import { probeOf, sliceOf } from '../slices.ts';
import type { SlotStates } from '../slot-state.ts';

export const SHARDS = ['a', 'b', 'c'] as ShardId[];

interface Row {
  state: 'INCOMING' | 'ACTIVE' | 'MOVING' | 'MOVED' | 'ABORTED';
  movedTo: ShardId | null;
  position: bigint;
  held: boolean;
}

interface Fetch {
  next: bigint;
  paused: boolean;
}

export function movingWorld(slotCount: number) {
  const all = Array.from({ length: slotCount }, (_, slot) => slot as Slot);
  const log = new Map(all.map((slot) => [slot, 0n]));
  const applied = new Map(all.map((slot) => [slot, [] as bigint[]]));
  const rows = new Map(SHARDS.map((shard) => [shard, new Map<Slot, Row>()]));
  for (const slot of all) must(rows.get(owner(slot)), 'rows').set(slot, { state: 'ACTIVE', movedTo: null, position: 0n, held: false });
  const down = new Set<ShardId>();
  /** Shards that the shards file does not name. */
  const unknown = new Set<ShardId>();
  const fetches = new Map<Slot, Fetch>(all.map((slot) => [slot, { next: 0n, paused: false }]));
  let searches: { readonly search: Search; at: ShardId; readonly resolve: (shard: ShardId | undefined) => void }[] = [];
  let topology = createTopology({ epoch: 1 as Epoch, owners: all.map(owner) });
  let seeks = 0;
  let gaps = 0;

  const slots: SlotStates = new Map();
  const kept = createKept();
  const fatal: unknown[] = [];
  const consumer: Partial<SlotConsumer> = {
    seek(slot, offset) {
      seeks += 1;
      must(fetches.get(slot as Slot), 'a slot').next = offset;
    },
    pause: (which) => setPaused(which, true),
    resume: (which) => setPaused(which, false),
  };
  const metrics: Partial<ProcessorMetrics> = { gap: () => void (gaps += 1), lost: () => fatal.push('the log is lost'), followed: () => undefined };
  const shared = {
    slots,
    kept,
    consumer: () => consumer as SlotConsumer,
    logEnds: async () => new Map(all.map((slot) => [slot, { slot, low: 0n, high: must(log.get(slot), 'a log') }])),
    metrics: metrics as ProcessorMetrics,
    signal: new AbortController().signal,
    onFatal: (error: unknown) => void fatal.push(error),
    lanes: (): ShardLanes => lanes,
    topology: { current: () => topology } as TopologyFollower,
    finder: { find: (search: Search) => new Promise<ShardId | undefined>((resolve) => searches.push({ search, at: search.movedTo ?? ownerNow(search.slot), resolve })) },
  };
  const intake = createIntake(shared);
  const placing = createPlacing({ ...shared, intake });
  const lanesByShard = new Map(SHARDS.map((shard) => [shard, fakeLane(shard, placing.eventsOf(shard))]));
  const lanes: ShardLanes = { of: laneOf, all: () => [...lanesByShard.values()].map(({ parts }) => parts) };

  function laneOf(shard: ShardId): ShardParts {
    if (unknown.has(shard)) throw new UnknownShard(shard, 'shards.json');
    return must(lanesByShard.get(shard), 'a lane').parts;
  }

  function owner(slot: Slot): ShardId {
    return must(SHARDS[slot % 2], 'a shard');
  }

  function ownerNow(slot: Slot): ShardId {
    return must(topology.owners[slot], 'an owner');
  }

  function setPaused(which: Iterable<number>, paused: boolean): void {
    for (const slot of which) must(fetches.get(slot as Slot), 'a slot').paused = paused;
  }

  function fakeLane(shard: ShardId, events: LaneEvents): { readonly parts: ShardParts; turn(): void } {
    const queue = createSliceQueue();
    const own = must(rows.get(shard), 'rows');
    const lane: Partial<Lane> = {
      shard,
      offer: queue.add,
      probe(slot) {
        queue.drop(slot);
        queue.add(probeOf(slot));
      },
      ask: (slot, expected) => queue.add(sliceOf({ slot, from: expected, to: expected }, [])),
      drop: (slot) => void queue.drop(slot),
      flow: () => (down.has(shard) ? 'pause' : 'resume'),
      status: () => ({ records: queue.records(), up: !down.has(shard), oldestAtMs: undefined, busySinceMs: undefined }),
    };
    let taken: readonly Slice[] | undefined;
    let results: readonly SlotResult[] | undefined;

    /** Takes what waits, or commits what was taken, or tells what was committed. */
    function turn(): void {
      if (results) return tell(results);
      if (taken === undefined) taken = queue.take();
      else if (!down.has(shard)) results = commit(taken);
    }

    function commit(slices: readonly Slice[]): readonly SlotResult[] {
      const positions = new Map([...own].map(([slot, { position }]) => [slot, { slot, next_offset: position as Offset, relayed_offset: 0n as Offset }]));
      const claims = new Map([...own].map(([slot, { state, movedTo, held }]) => [slot, { slot, state, moved_to: movedTo, held_ms: held ? 10 : null, parked_keys: [] }]));
      const admitted = admit(slices, { positions, slots: claims });
      for (const { slot, offset } of admitted.records) must(applied.get(slot), 'a slot').push(offset);
      for (const result of admitted.results) if (result.kind === 'applied') must(own.get(result.slot), 'a row').position = result.next;
      return admitted.results;
    }

    function tell(committed: readonly SlotResult[]): void {
      const slices = taken ?? [];
      taken = results = undefined;
      for (const result of committed) {
        const { slot } = result;
        if (result.kind === 'applied') {
          events.onApplied(slot, result.next);
          continue;
        }
        const waiting = queue.drop(slot);
        if (result.kind === 'gap') events.onPosition(slot, result.position);
        else events.onRefused(slot, result, [...slices.filter((slice) => slice.slot === slot), ...waiting].filter((slice) => slice.records.length > 0));
      }
    }
    return { parts: { lane: lane as Lane, relay: {} as ShardParts['relay'] }, turn };
  }

  const rowOf = (shard: ShardId, slot: Slot): Row | undefined => rows.get(shard)?.get(slot);
  const holder = (slot: Slot): ShardId | undefined => SHARDS.find((shard) => ['ACTIVE', 'MOVING'].includes(rowOf(shard, slot)?.state ?? ''));

  return {
    all,
    slots,
    kept,
    applied,
    fatal,
    holder,
    unknown,
    paused: (slot: Slot) => must(fetches.get(slot), 'a slot').paused,
    logEnd: (slot: Slot) => must(log.get(slot), 'a log'),
    seeks: () => seeks,
    gaps: () => gaps,
    append: (slot: Slot, count: number) => void log.set(slot, must(log.get(slot), 'a log') + BigInt(count)),
    /** One batch of the slot, unless it is paused or at its end. */
    deliver(slot: Slot, count: number) {
      const fetch = must(fetches.get(slot), 'a slot');
      const end = must(log.get(slot), 'a log');
      if (fetch.paused || fetch.next >= end || !slots.has(slot)) return;
      const to = fetch.next + BigInt(count) < end ? fetch.next + BigInt(count) : end;
      const records: SlotRecord[] = [];
      for (let offset = fetch.next; offset < to; offset++) records.push({ offset: offset as Offset, key: Buffer.from('demo/k'), value: Buffer.from('v'), timestampMs: 0 });
      fetch.next = to;
      const batch: SlotBatch = { slot, records, highWatermark: end };
      intake.onBatch(batch);
    },
    /** A part of a turn of the shard's lane; three make one. */
    turn: (shard: ShardId) => must(lanesByShard.get(shard), 'a lane').turn(),
    wholeTurn(shard: ShardId) {
      for (let part = 0; part < 3; part++) must(lanesByShard.get(shard), 'a lane').turn();
    },
    /** Every search that finds its slot ends. */
    look() {
      searches = searches.filter((each) => {
        const { search, resolve } = each;
        if (!search.wanted()) return resolve(undefined);
        const row = down.has(each.at) ? undefined : rowOf(each.at, search.slot);
        const direction = directionOf(row && { state: row.state, moved_to: row.movedTo });
        if (direction.kind === 'here') return resolve(each.at);
        if (direction.kind === 'there') each.at = direction.shard;
        if (direction.kind === 'ask') each.at = ownerNow(search.slot);
        return true;
      });
    },
    fence(slot: Slot, target: ShardId) {
      const source = holder(slot);
      if (source === undefined || source === target) return;
      const row = must(rowOf(source, slot), 'a row');
      rows.get(target)?.set(slot, { state: 'INCOMING', movedTo: null, position: rowOf(target, slot)?.position ?? 0n, held: false });
      Object.assign(row, { state: 'MOVED', movedTo: target, held: false });
    },
    activate(slot: Slot) {
      const target = SHARDS.find((shard) => rowOf(shard, slot)?.state === 'INCOMING');
      if (target === undefined) return;
      const source = must(SHARDS.map((shard) => rowOf(shard, slot)).find((row) => row?.movedTo === target), 'a signpost');
      Object.assign(must(rowOf(target, slot), 'a row'), { state: 'ACTIVE', position: source.position });
    },
    hold(slot: Slot, held: boolean) {
      const shard = holder(slot);
      if (shard !== undefined) must(rowOf(shard, slot), 'a row').held = held;
    },
    setDown(shard: ShardId, isDown: boolean) {
      if (isDown) down.add(shard);
      else down.delete(shard);
      placing.eventsOf(shard).onFlow(isDown ? 'pause' : 'resume');
    },
    /** The topology as the rows are. */
    publish() {
      topology = createTopology({ epoch: (topology.epoch + 1) as Epoch, owners: all.map((slot) => holder(slot) ?? ownerNow(slot)) });
      placing.onTopology(topology);
    },
    tick: () => placing.leaveDeadShards(),
    /** Another member applies some records of the slot while this one believes that they are its own. */
    another(slot: Slot, count: number) {
      const shard = holder(slot);
      if (shard === undefined || down.has(shard)) return;
      const row = must(rowOf(shard, slot), 'a row');
      const end = must(log.get(slot), 'a log');
      for (let i = 0; i < count && row.position < end && !row.held; i++) must(applied.get(slot), 'a slot').push(row.position++);
    },
    /** As after a rebalance; the consumer starts anywhere. */
    assign(from: bigint) {
      for (const [slot, fetch] of fetches) Object.assign(fetch, { next: from < must(log.get(slot), 'a log') ? from : 0n, paused: false });
      placing.assign(all);
    },
  };
}
