/** Which of its slots a shard gives to another one. */
import { must } from '@millrace/write';
import { isLower, levelOf, loadOf, type Holder, type Placement } from './placement.ts';

/** `from` betters itself by giving `to` one of the slots that `mayGive` allows. */
export interface Offer {
  readonly from: Holder;
  readonly to: Holder;
  readonly mayGive: (slot: number) => boolean;
}

interface Candidate {
  readonly slot: number;
  /** The higher level of the two afterwards; 0 where the slot brings neither of them across the mean. */
  readonly height: number;
  /** How heavy it is, to a power of two. */
  readonly magnitude: number;
  /** How much further its way round the ring is to the receiver than to the giver. */
  readonly detour: number;
}

/**
 * One that brings neither across the mean, so that nothing has to move back or on; else the one that evens the two the
 * most. Of such a heavy one, as the light ones fill the gaps later; of such the one that the ring would rather have with
 * the receiver.
 */
export function pickSlot({ loads, meanLevel, waysTo }: Placement, { from, to, mayGive }: Offer): number {
  const room = Math.min(from.load - meanLevel * from.weight, meanLevel * to.weight - to.load);
  const [there, here] = [waysTo(to), waysTo(from)];
  let best: Candidate | undefined;
  for (const slot of from.slots) {
    const load = loadOf(loads, slot);
    if (load === 0 || !mayGive(slot)) continue;
    const height = isLower(room, load) ? Math.max(levelOf(to, load), levelOf(from, -load)) : 0;
    if (best && isLower(best.height, height)) continue;
    const candidate = { slot, height, magnitude: Math.floor(Math.log2(load)), detour: (there[slot] ?? 0) - (here[slot] ?? 0) };
    if (!best || isBetter(candidate, best)) best = candidate;
  }
  return must(best, 'what is offered is held').slot;
}

function isBetter(a: Candidate, b: Candidate): boolean {
  if (isLower(a.height, b.height)) return true;
  if (isLower(b.height, a.height)) return false;
  if (a.magnitude !== b.magnitude) return a.magnitude > b.magnitude;
  return a.detour < b.detour || (a.detour === b.detour && a.slot < b.slot);
}
