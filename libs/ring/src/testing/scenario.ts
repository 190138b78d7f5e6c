/**
 * Scenarios that people read: commands, `----`, and what the ring makes of them. After the datadriven tests of etcd's
 * raft/confchange.
 *
 * Commands of a block count together: one plan for all of them, which is carried out.
 *
 *   slots N                a new cluster; the shards that join in this block share the slots at the start
 *   join ID [weight=W]     leave ID      stay ID (leaves no more)      weight ID W
 *   load FIRST[-LAST] L    the load of slots; 1 by default            plan (changes nothing)
 *   move SLOT ID           by hand, before the plan
 *   only N                 carry out no more than the first N moves, as if the plan was aborted then
 *
 * Results: the moves; `shard: load of fair share: slots`; the balance that the plan leads to, and the best there is.
 */
import { assert, type ShardId, type Slot } from '@millrace/write';
import { LastShard } from '../member.ts';
import { plan, type PlacementPlan } from '../plan.ts';
import { ownerOf, slotsOf, type Topology } from '../topology.ts';
import { moveSlot, type SlotMove } from '../transition.ts';
import { carryOut, command, createCluster, type Cluster } from './cluster.ts';

interface Scene extends Cluster {
  readonly loads: readonly number[];
}

/** In a cluster of more slots they are counted, not named. */
const NAMED_SLOTS_MAX = 64;
const SEPARATOR = '----';

/** The same text with the results as they are. Blocks are separated by an empty line; `#` begins a comment. */
export function runScenario(text: string): string {
  let scene: Scene | undefined;
  const blocks = text.trim().split(/\n{2,}/).map((block) => {
    if (!block.includes(SEPARATOR)) return block;
    const [asked = ''] = block.split(SEPARATOR);
    const lines = asked.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    const result = runBlock(scene, lines);
    scene = result.scene;
    return `${asked}${SEPARATOR}\n${result.output}`;
  });
  return `${blocks.join('\n\n')}\n`;
}

function runBlock(before: Scene | undefined, lines: readonly string[]): { scene: Scene; output: string } {
  const words = lines.map((line) => line.split(' '));
  const scene = words.reduce(obey, before ?? createScene(words));
  try {
    const proposed = plan(scene.topology, scene.members, scene.loads);
    const carried = proposed.moves.slice(0, Number(words.find(([verb]) => verb === 'only')?.[1] ?? Infinity));
    const after = { ...scene, ...carryOut(scene, carried) };
    return { scene: after, output: [...movesText(after, carried), ...shardsText(after, proposed)].join('\n') };
  } catch (error) {
    if (!(error instanceof LastShard) || !before) throw error;
    return { scene: before, output: `${error.code}: ${error.message}` };
  }
}

function createScene(words: readonly (readonly string[])[]): Scene {
  const slots = Number(words.find(([verb]) => verb === 'slots')?.[1]);
  assert(slots >= 1, 'a scenario begins with `slots N`');
  const shards = words.flatMap(([verb, shard]) => (verb === 'join' && shard !== undefined ? [shard] : []));
  return { ...createCluster(slots, shards), loads: Array.from({ length: slots }, () => 1) };
}

function obey(scene: Scene, [verb, subject = '', value]: readonly string[]): Scene {
  const isFirst = verb === 'join' && scene.topology.epoch === 1 && scene.members.some(({ shard }) => shard === subject);
  switch (verb) {
    case 'slots':
    case 'only':
    case 'plan':
      return scene;
    case 'join':
      return { ...scene, ...command(scene, { kind: isFirst ? 'weight' : 'join', shard: subject, weight: Number(value?.replace('weight=', '') ?? 1) }) };
    case 'leave':
    case 'stay':
    case 'weight':
      return { ...scene, ...command(scene, { kind: verb, shard: subject, weight: value === undefined ? undefined : Number(value) }) };
    case 'load': {
      const [first, last = first] = subject.split('-').map(Number);
      return { ...scene, loads: scene.loads.map((load, slot) => (slot >= Number(first) && slot <= Number(last) ? Number(value) : load)) };
    }
    case 'move': {
      const slot = Number(subject) as Slot;
      return { ...scene, topology: moveSlot(scene.topology, { slot, source: ownerOf(scene.topology, slot), target: value as ShardId }) };
    }
    default:
      throw new Error(`no such command: ${verb}`);
  }
}

function movesText({ topology }: Scene, moves: readonly SlotMove[]): readonly string[] {
  if (moves.length === 0) return ['nothing moves'];
  const byPair = Map.groupBy(moves, ({ source, target }) => `${source} -> ${target}`);
  return [...byPair].sort().map(([pair, of]) => `${pair}: ${slotsText(topology, of.map(({ slot }) => slot))}`);
}

function shardsText({ topology, members, loads }: Scene, { load, balance, bound }: PlacementPlan): readonly string[] {
  const states = new Map(members.map(({ shard, state }) => [shard, state === 'active' ? '' : ` ${state}`]));
  const shards = load.map(({ shard, share }) => {
    const slots = slotsOf(topology, shard);
    const bears = slots.reduce((sum, slot) => sum + (loads[slot] ?? 0), 0);
    return states.has(shard) ? `${shard}${states.get(shard)}: ${number(bears)} of ${number(share)}: ${slotsText(topology, slots)}` : `${shard}: gone`;
  });
  return [...shards, `planned balance ${number(balance)}, bound ${number(bound)}`];
}

function slotsText(topology: Topology, slots: readonly Slot[]): string {
  return topology.slots > NAMED_SLOTS_MAX ? `${slots.length} slots` : slots.join(' ') || 'none';
}

function number(value: number): string {
  return String(Number(value.toPrecision(4)));
}
