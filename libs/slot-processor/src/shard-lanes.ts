/** The lanes of a process, one per shard, each with the relay of its events; made when a slot is first placed there. */
import { createBreaker, type Log, type Registry } from '@millrace/runtime';
import type { Shards } from '@millrace/topology';
import type { ShardId } from '@millrace/write';
import { createLane, type Lane, type LaneEvents, type OnCommitted } from './lane.ts';
import type { ProcessorMetrics } from './metrics.ts';
import type { StreamModel } from './model.ts';
import { createRelay, type Publishers, type Relay } from './relay.ts';

export interface ShardParts {
  readonly lane: Lane;
  readonly relay: Relay;
}

export interface ShardLanes {
  /** @throws UnknownShard */
  of(shard: ShardId): ShardParts;
  all(): readonly ShardParts[];
}

export interface ShardLanesInput {
  readonly model: StreamModel;
  /** S. */
  readonly slots: number;
  readonly shards: Shards;
  readonly publishers: Publishers;
  readonly metrics: ProcessorMetrics;
  readonly log: Log;
  readonly registry: Registry;
  readonly onCommitted?: OnCommitted | undefined;
  readonly eventsOf: (shard: ShardId) => LaneEvents;
  /** Ends the turns. */
  readonly signal: AbortSignal;
  /** Ends the relays, which outlive the turns. */
  readonly relaySignal: AbortSignal;
}

const BREAKER_RESET_MS = 1_000;

export function createShardLanes(input: ShardLanesInput): ShardLanes {
  const { model, slots, metrics, log, registry, signal } = input;
  const known = new Map<ShardId, ShardParts>();

  function open(shard: ShardId): ShardParts {
    const shared = { shard, database: input.shards.get(shard), slots, metrics };
    const events = input.eventsOf(shard);
    const relay = createRelay({ ...shared, model, publishers: input.publishers, signal: input.relaySignal, onBug: events.onBug });
    const breaker = createBreaker({ name: `shard ${shard}`, resetMs: BREAKER_RESET_MS, log, registry });
    const parts = { relay, lane: createLane({ ...shared, model, relay, breaker, signal, events, onCommitted: input.onCommitted }) };
    known.set(shard, parts);
    return parts;
  }

  return { of: (shard) => known.get(shard) ?? open(shard), all: () => [...known.values()] };
}
