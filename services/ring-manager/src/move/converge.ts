/** Rounds until the last delta is small enough for the stall budget, then fence and activation. */
import type { Brake } from './brake.ts';
import { decide, expectedMs, growthOf, type RoundTime } from './decide.ts';
import { activate, type Fenced } from './finish.ts';
import { cursorsOf, type CopyState } from './incoming.ts';
import { HOLD_LEVEL_MAX, ROUNDS_KEPT } from './limits.ts';
import type { Mover } from './mover.ts';
import { distance, runRound } from './rounds.ts';
import { fence } from './side.ts';

export async function converge(mover: Mover, checked: CopyState, brake: Brake): Promise<void> {
  let rounds: readonly RoundTime[] = [];
  for (let state = checked; ; ) {
    brake.check();
    await mover.checkpoint('round');
    const round = await runRound(mover, state, { pass: () => mover.checkpoint('round'), outrun: brake.harder });
    state = round.state;
    rounds = [...rounds, round].slice(-ROUNDS_KEPT);
    await mover.reporter.tell('catching_up', { rows: state.rows, bytes: state.bytes, rounds: state.rounds });
    const decision = decide(rounds, { stallBudgetMs: mover.stallBudgetMs, level: brake.level() });
    if (decision === 'slower') brake.harder(growthOf(rounds));
    if (decision === 'fence' && (await tryFence(mover, state, rounds, brake))) return;
  }
}

/** False where the last delta has grown too large behind the locks: another round, and the slot a little slower. */
async function tryFence(mover: Mover, state: CopyState, rounds: readonly RoundTime[], brake: Brake): Promise<boolean> {
  await mover.checkpoint('fence');
  const forced = brake.level() >= HOLD_LEVEL_MAX;
  const askedAtMs = performance.now();
  let waitedMs = 0;
  let told: Promise<void> | undefined;
  const fenced = await activate(mover, state, async (): Promise<Fenced | undefined> => {
    const positions = await fence(mover, mover.source, (now) => {
      waitedMs = Math.round(performance.now() - askedAtMs);
      return forced || expectedMs(rounds, distance(state.cursors, cursorsOf(now))) <= mover.stallBudgetMs;
    });
    if (!positions) return undefined;
    const at = new Date();
    // Not awaited before the activation: nobody applies the slot meanwhile.
    told = mover.reporter.tell('fenced', { fencedAt: at.toISOString(), fenceWaitMs: waitedMs });
    told.catch(() => undefined);
    await mover.step('fenced');
    return { positions, at };
  });
  await told;
  if (!fenced) brake.harder();
  return fenced !== undefined;
}
