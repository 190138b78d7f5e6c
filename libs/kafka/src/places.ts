/**
 * Which lane a slot belongs to: one of its leader broker, the main lane, or the side lane while that broker does not
 * store it.
 *
 * A slot that was not stored on one broker is well again when it is stored, or when another broker leads it.
 */
import { must } from '@millrace/write';
import type { Lane, LaneKind } from './lane.ts';
import { NO_LEADER, type Leaders } from './leaders.ts';
import type { BrokerAddress } from './types.ts';

export interface Places {
  laneOf(slot: number): Lane | undefined;
  lanes(): readonly Lane[];
  addressOf(node: number): BrokerAddress | undefined;
  /** The lane's broker did not store the slot. */
  setSick(slot: number, lane: Lane): void;
  setWell(slot: number): void;
  /** Idle lanes take note at once, the others when they `move`. */
  setLeaders(leaders: Leaders): void;
  /** L1: the lane has nothing in flight, so the slots that are not its own any more leave with what waits for them. */
  move(lane: Lane): void;
}

export function createPlaces(options: {
  readonly leaders: Leaders;
  readonly createLane: (node: number, kind: LaneKind) => Lane;
  /** Records came into the lane from another. */
  readonly onArrival: (lane: Lane) => void;
}): Places {
  const { createLane, onArrival } = options;
  let { leaders } = options;
  const lanes = { main: new Map<number, Lane>(), side: new Map<number, Lane>() };
  /** The broker that did not store the slot. */
  const sickAt = new Map<number, number>();
  /** Rises with every change of what `placeOf` answers. */
  let version = 0;
  const laneOf: Lane[] = leaders.bySlot.map((node) => laneAt(node, 'main'));

  function laneAt(node: number, kind: LaneKind): Lane {
    const existing = lanes[kind].get(node);
    if (existing !== undefined) return existing;
    const lane = createLane(node, kind);
    lanes[kind].set(node, lane);
    return lane;
  }

  function placeOf(slot: number): Lane {
    const node = leaders.bySlot[slot] ?? NO_LEADER;
    return laneAt(node, sickAt.get(slot) === node ? 'side' : 'main');
  }

  function move(lane: Lane): void {
    if (lane.placesSeen === version) return;
    lane.placesSeen = version;
    const gone = new Set<number>();
    for (const [slot, owner] of laneOf.entries()) {
      if (owner !== lane) continue;
      laneOf[slot] = placeOf(slot);
      if (laneOf[slot] !== lane) gone.add(slot);
    }
    if (gone.size === 0) return;
    const arrivals = new Set<Lane>();
    for (const record of lane.queue.takeSlots(gone)) {
      const owner = must(laneOf[record.slot], 'every slot has a lane');
      owner.queue.push(record);
      arrivals.add(owner);
    }
    for (const owner of arrivals) onArrival(owner);
  }

  const all = (): readonly Lane[] => [...lanes.main.values(), ...lanes.side.values()];

  return {
    laneOf: (slot) => laneOf[slot],
    lanes: all,
    addressOf: (node) => leaders.addresses.get(node),
    setSick: (slot, lane) => {
      if (sickAt.get(slot) === lane.node) return;
      sickAt.set(slot, lane.node);
      version += 1;
    },
    setWell: (slot) => {
      if (sickAt.size > 0 && sickAt.delete(slot)) version += 1;
    },
    setLeaders: (fresh) => {
      leaders = fresh;
      version += 1;
      for (const lane of all()) if (!lane.running) move(lane);
    },
    move,
  };
}
