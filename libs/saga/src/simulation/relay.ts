/** What carries messages from journals to logs: relays, flights, timers; and what befalls them: crashes and moves. */
import { SAGA_TIMEOUT, type Message, type SagaRow } from '@millrace/domain';
import { INTERNAL_KEY_PREFIX, must, type RoutingKey, type Stream } from '@millrace/write';
import { createRelay, SHARDS, STREAMS, type Relay, type Slot, type World } from './world.ts';

/** Shorter than it is, so that schedules meet it. */
const FIRE_AGAIN_MS = 1_000;

/** Publishes the next row of the journal; false where there is none. `twice`: the acknowledgement was lost. */
export function publishNext(world: World, relay: Relay, twice: boolean): boolean {
  const { slot, stream, shard } = relay;
  if (relay.tip >= (relay.end ?? slot.positions[stream])) return false;
  const offset = relay.tip++;
  for (const message of must(slot.journal[stream][offset], 'what is below the position is in the journal')) {
    world.flights.push({ message, shard, relay, offset });
    if (twice) world.flights.push({ message, shard, relay, offset });
  }
  return true;
}

/** One of the messages under way arrives: the oldest, or any. */
export function deliver(world: World, inOrder: boolean): boolean {
  const { flights, random } = world;
  if (flights.length === 0) return false;
  const [flight] = flights.splice(inOrder ? 0 : random.below(flights.length), 1);
  append(world, must(flight, 'there is one').message);
  return true;
}

/** To the log of its slot, which stamps it. */
export function append(world: World, { stream, key, type, idempotencyKey, data }: Message): void {
  world.slotOf(key).logs[stream].push({ key, type, idempotencyKey, data, atMs: world.nowMs });
}

/** The relay tells the shard how far everything is acknowledged. */
export function save(world: World, slot: Slot, stream: Stream): void {
  const relay = slot.relays[stream];
  let acknowledged = relay.tip;
  if (world.holds('relayRemembersWhatArrived')) {
    for (const flight of world.flights) if (flight.relay === relay && flight.offset < acknowledged) acknowledged = flight.offset;
  }
  if (acknowledged > slot.relayed[stream]) slot.relayed[stream] = acknowledged;
}

/** The processes on a shard die: what they published may not have arrived, and what they knew is gone. */
export function crash(world: World, shard: number): void {
  world.flights = world.flights.filter((flight) => flight.shard !== shard || world.random.oneIn(2));
  world.zombies = world.zombies.filter((zombie) => zombie.shard !== shard);
  world.fired[shard]?.clear();
  for (const slot of world.slots) if (slot.owner === shard) restart(world, slot);
}

/** The slot moves, in the middle of everything: rows and journal with it; what its former process knows is stale. */
export function move(world: World, slot: Slot): void {
  for (const stream of STREAMS) world.zombies.push({ ...slot.relays[stream], end: slot.positions[stream] });
  slot.owner = (slot.owner + 1) % SHARDS;
  slot.rows = new Map(slot.rows);
  slot.seen = world.holds('moveCarriesDigests') ? new Map(slot.seen) : new Map<string, unknown>();
  restart(world, slot);
  if (!world.holds('moveCarriesJournal')) for (const stream of STREAMS) slot.relays[stream].tip = slot.positions[stream];
}

/** A process that begins reads the rows. */
function restart(world: World, slot: Slot): void {
  for (const stream of STREAMS) slot.relays[stream] = createRelay(slot, stream);
  if (!world.holds('timersAreRows')) slot.due.clear();
}

/** Fires the timers of a slot that are due by the clock of its process, and again after a while while they stand. */
export function fire(world: World, slot: Slot): boolean {
  if (slot.owner === world.down) return false;
  const fired = must(world.fired[slot.owner], 'a shard has a process');
  const nowMs = world.nowMs + (slot.owner === 0 ? world.aheadMs : 0);
  let some = false;
  for (const [name, row] of slot.due) {
    if (row.due_ms === null || Number(row.due_ms) > nowMs || nowMs < (fired.get(name) ?? -Infinity) + FIRE_AGAIN_MS) continue;
    fired.set(name, nowMs);
    some = true;
    if (Number(row.due_ms) > world.nowMs) world.happens('a timer is fired early');
    const shot = world.holds('shotsAreRecords') ? `/${nowMs}` : '';
    world.flights.push({ message: timeoutOf(row, shot), shard: slot.owner, offset: 0 });
  }
  return some;
}

function timeoutOf({ key, saga, due_ms: due }: SagaRow, shot: string): Message {
  const data = { saga, due_ms: Number(due) };
  return { stream: 'sagas', key: key as RoutingKey, type: SAGA_TIMEOUT, idempotencyKey: `${INTERNAL_KEY_PREFIX}${saga}/timeout/${due}${shot}`, data };
}
