/**
 * The protocol of a move, explored. The model in `testing/` reads as its specification: `rules.ts` says what it keeps,
 * `drive.ts`, `claim.ts`, `guard.ts`, `source.ts`, `copy.ts` and `target.ts` are the mover, `writer.ts` and `reader.ts`
 * the others, `transaction.ts` what Postgres does for them, `invariants.ts` what must hold.
 */
import { describe, expect, test } from '@jest/globals';
import { explore, replay } from './testing/explore.ts';
import { PROTOCOL } from './testing/rules.ts';
import type { Plan } from './testing/schedule.ts';
import { CALM } from './testing/troubles.ts';

/** The same schedules in every run, unless they are asked for from another seed on. */
const SEED = Number(process.env['MOVE_SEED'] ?? 1);
const SCHEDULES = Number(process.env['MOVE_SCHEDULES'] ?? 20_000);
const TIMEOUT_MS = 300_000;

function explored(plan: Plan, schedules: number): ReadonlyMap<string, number> {
  const { found, tally } = explore(plan, { seed: SEED, schedules });
  if (found) throw new Error(`${found.violation}\nMOVE_SEED=${found.seed} MOVE_SCHEDULES=1 runs it again:\n${replay(found.seed, plan)}`);
  return tally;
}

describe('the protocol of a move', () => {
  test(
    `W1 W2 R1 R2 R3 R4 R5 hold after every step of ${SCHEDULES} schedules, and each comes to its end`,
    () => {
      const tally = explored({ rules: PROTOCOL }, SCHEDULES);
      // What never happened would not have been explored.
      const steps = ['prepare', 'open', 'copy', 'finish', 'publish', 'purge', 'done', 'reject', 'reactivate', 'clear', 'aborted'];
      const events = [
        ...steps.map((step) => `step ${step}`),
        'a turn of an ACTIVE slot',
        'a turn of a MOVING slot',
        'a slot is ordered away',
        'a slot is ordered back',
        'an abort comes too late',
        'a leader has a former one beside it',
        'superseded',
        'the rows have changed',
        'the commit is unknown',
        'the session is ended',
        'a batch of deletes strays',
      ];
      if (SCHEDULES >= 1_000) expect(events.filter((event) => !tally.has(event))).toEqual([]);
    },
    TIMEOUT_MS,
  );

  test(
    'a copy that loses rows is given up, and never activated',
    () => {
      const tally = explored({ rules: PROTOCOL, lossy: true }, SCHEDULES / 10);
      if (SCHEDULES >= 1_000) expect(tally.get('both sides differ')).toBeGreaterThan(0);
    },
    TIMEOUT_MS,
  );

  test('a seed gives one schedule', () => {
    for (const seed of [1, 2, 3]) expect(replay(seed, { rules: PROTOCOL })).toBe(replay(seed, { rules: PROTOCOL }));
  });

  test('a move that nothing disturbs: its steps, and the slot rows that each leaves', () => {
    expect(story(replay(1, { rules: PROTOCOL, troubles: CALM }))).toEqual([
      'step prepare; b: INCOMING epoch 2 move 1 token 1',
      'step open; a: MOVING epoch 1 move 1 token 1',
      'step copy; a: MOVED to b epoch 1 move 1 token 1',
      'step finish; b: ACTIVE epoch 2 move 1 token 1',
      'step publish; control: move 1 a -> b running, token 1, epoch 2 at b',
      'step purge',
      'step done; control: move 1 a -> b done, token 1, epoch 2 at b',
    ]);
  });

  test('a move that is aborted while its fence is under way', () => {
    expect(story(replay(6, { rules: PROTOCOL, troubles: { ...CALM, abort: 60 } }))).toEqual([
      'step prepare; b: INCOMING epoch 2 move 1 token 1',
      'step open; a: MOVING epoch 1 move 1 token 1',
      'step copy; control: move 1 a -> b aborting, token 1, epoch 1 at a; a: MOVED to b epoch 1 move 1 token 1',
      'step reject; b: ABORTED epoch 2 move 1 token 1',
      'step reactivate; a: ACTIVE epoch 3 move - token 1',
      'step clear',
      'step aborted; control: move 1 a -> b aborted, token 1, epoch 1 at a',
    ]);
  });
});

/** Each step with what it leaves, in slot rows and control database; positions, rows and notes are left out. */
function story(trace: string): readonly string[] {
  const lines = trace.split('\n').flatMap((line) => /^ {2}! (step .*)$/.exec(line)?.[1] ?? /^ {6}([^;]*)/.exec(line)?.[1] ?? []);
  const told = lines.filter((line, index) => line.startsWith('step') || lines.lastIndexOf(line, index - 1) < 0);
  return told.join('; ').split(/; (?=step)/).slice(1);
}
