/**
 * What whole slots allow: no placement has a shard of lower load by weight than this, at best.
 *
 * The k heaviest slots alone give two bounds. They stand on at most k shards, at best those of most weight (Horvath,
 * Lam, Sethi, J. ACM 1977, of jobs on machines of unequal speed). And each of them is at least as
 * heavy as the k-th, so it is never better than sharing k equal ones out by the method of greatest divisors (Jefferson,
 * D'Hondt; Balinski and Young, Fair Representation, 1982), which is the best for equal ones. So with equal loads the
 * bound is reached.
 */
export function leastLevel(loads: readonly number[], weights: readonly number[]): number {
  const heaviest = [...weights].sort((a, b) => b - a);
  const held = heaviest.map(() => 0);
  let [load, weight, level] = [0, 0, 0];
  for (const [k, slot] of loads.filter((each) => each > 0).sort((a, b) => b - a).entries()) {
    load += slot;
    weight += heaviest[k] ?? 0;
    level = Math.max(level, load / weight, slot * awardNext(held, heaviest));
  }
  return level;
}

/** Gives one more equal slot to the shard that then bears the least for its weight; answers what it then bears. */
function awardNext(held: number[], weights: readonly number[]): number {
  let least = Number.POSITIVE_INFINITY;
  let winner = 0;
  for (let index = 0; index < weights.length; index++) {
    const level = ((held[index] ?? 0) + 1) / (weights[index] ?? 1);
    if (level >= least) continue;
    least = level;
    winner = index;
  }
  held[winner] = (held[winner] ?? 0) + 1;
  return least;
}
