/**
 * Evening out: step by step the shard with the highest level gives a slot to where the level is the lowest with it, as
 * long as the higher level of the two falls by that. (A level is load by weight.)
 *
 * The end is a placement where no slot is better off elsewhere: a Nash equilibrium of load balancing (Czumaj and
 * Vöcking, SODA 2002). With equal loads that is the apportionment of greatest divisors (Balinski and Young, Fair
 * Representation, 1982). It has the lowest maximum that there is. It depends on the weights alone, up to ties, which
 * fall to who holds the slot. And it is coherent: where a shard joins or grows no other one gains, and where one leaves
 * or shrinks no other one loses. So a join moves to the joiner only, a leave from the leaver only.
 *
 * Unequal loads know no such apportionment. So while shards join or leave, those who stay trade among themselves only
 * where the one bears more than the other would with the heaviest slot of all on top.
 */
import { pickSlot, type Offer } from './pick.ts';
import { give, isLower, levelOf, loadOf, type Holder, type Placement } from './placement.ts';

/** Each step lowers a level, so that they end. It takes far less than this; the placement is whole after any of them. */
const STEPS_PER_SLOT_MAX = 16;

export function evenOut(placement: Placement): void {
  const offerOf = createMarket(placement);
  for (let left = STEPS_PER_SLOT_MAX * placement.loads.length; left > 0; left--) {
    const offer = firstOffer(placement, offerOf);
    if (!offer) return;
    give(placement, pickSlot(placement, offer), offer);
  }
}

/** Of the holder with the highest level that has one. */
function firstOffer({ holders }: Placement, offerOf: (from: Holder) => Offer | undefined): Offer | undefined {
  for (const from of [...holders].sort((a, b) => levelOf(b) - levelOf(a))) {
    const offer = offerOf(from);
    if (offer) return offer;
  }
  return undefined;
}

/** The best offer of a holder: to where the level is the lowest with the lightest slot that it may give there. */
function createMarket({ holders, homes, loads, isChange }: Placement): (from: Holder) => Offer | undefined {
  const heaviest = Math.max(...loads);
  const isTrade = (slot: number, to: Holder): boolean => isChange && to.state !== 'joining' && homes[slot] !== undefined && homes[slot] !== to;

  return (from) => {
    const level = levelOf(from);
    const lightest = lightestOf(from, { homes, loads });
    let best: Offer | undefined;
    let lowest = level;
    for (const to of holders) {
      const untraded = !isChange || to.state === 'joining' ? lightest.all : Math.min(lightest.homeless, lightest.byHome.get(to) ?? Infinity);
      const trades = !isLower(levelOf(to, untraded), level) && isLower(levelOf(to, heaviest), level);
      const levelThere = levelOf(to, trades ? lightest.all : untraded);
      if (to === from || !isLower(levelThere, lowest)) continue;
      lowest = levelThere;
      best = { from, to, mayGive: (slot) => trades || !isTrade(slot, to) };
    }
    return best;
  };
}

interface Lightest {
  readonly all: number;
  /** Of those that stood nowhere at the start. */
  readonly homeless: number;
  /** Of those that stood with another holder at the start. */
  readonly byHome: ReadonlyMap<Holder, number>;
}

/** The least loads over 0 among the slots of a holder; Infinity where there are none. */
function lightestOf(holder: Holder, { homes, loads }: Pick<Placement, 'homes' | 'loads'>): Lightest {
  let [all, homeless] = [Infinity, Infinity];
  const byHome = new Map<Holder, number>();
  for (const slot of holder.slots) {
    const [load, home] = [loadOf(loads, slot), homes[slot]];
    if (load === 0) continue;
    all = Math.min(all, load);
    if (home === undefined) homeless = Math.min(homeless, load);
    else if (home !== holder) byHome.set(home, Math.min(byHome.get(home) ?? Infinity, load));
  }
  return { all, homeless, byHome };
}
