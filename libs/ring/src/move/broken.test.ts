import { describe, expect, test } from '@jest/globals';
import { explore } from './testing/explore.ts';
import { PROTOCOL, type Rules } from './testing/rules.ts';

const SCHEDULES_MAX = 20_000;
const TIMEOUT_MS = 300_000;

interface Broken {
  readonly title: string;
  readonly without: keyof Rules;
  /** The violation that the rule prevents. */
  readonly finds: RegExp;
  readonly lossy?: boolean;
}

const TWO_OWNERS = /^W2: . and . both hold the slot/;
const LATE_TURN = /^W2: a turn commits on ., where the slot is MOVED/;
const LOST_WRITE = /^W1: . has .* the logs make it/;
const UNEQUAL = /^both sides differ/;
const LEFT = /^(leftovers: . waits|leftovers: . has the progress of a copy)/;
const LEFT_OPEN = /^(liveness: . is still MOVING|a move is aborted, and . is MOVING)/;

const VARIANTS: readonly Broken[] = [
  { title: 'no fence: the target takes the slot while the source applies', without: 'fenceBeforeActivation', finds: TWO_OWNERS },
  { title: 'activation before the last delta', without: 'lastDeltaBeforeActivation', finds: LOST_WRITE },
  { title: 'activation without comparing, where the copy lost a row', without: 'compareBeforeActivation', finds: LOST_WRITE, lossy: true },
  { title: 'abort in the wrong order: the source returns before the target has rejected', without: 'rejectBeforeReturn', finds: TWO_OWNERS },

  { title: "fence without the second stream's lock", without: 'fenceLocksEveryStream', finds: LATE_TURN },
  { title: "MOVING without the second stream's lock", without: 'openLocksEveryStream', finds: LOST_WRITE },
  { title: 'a turn that reads the slot row before it has the lock', without: 'turnReadsSlotAfterLock', finds: LATE_TURN },
  { title: 'turns that do not note what they change', without: 'turnsNote', finds: LOST_WRITE },
  { title: 'turns that do not note the journal rows of a release', without: 'turnsNoteOldJournalRows', finds: LOST_WRITE },

  { title: 'a first cursor that is read after the chunks', without: 'cursorBeforeChunks', finds: UNEQUAL },
  { title: 'a round whose end is read after its notes', without: 'roundReadsPositionFirst', finds: LOST_WRITE },
  { title: 'rows and progress in two transactions', without: 'progressWithRows', finds: LOST_WRITE },
  { title: 'a comparison that includes what the cursor does not cover', without: 'compareLeavesOutUncovered', finds: UNEQUAL },

  { title: "no fencing token: a paused mover's stale chunk or round, just before its successor activates", without: 'tokenChecked', finds: LOST_WRITE },
  { title: 'the target is not claimed', without: 'claimsTarget', finds: LOST_WRITE },
  { title: 'the source is not claimed: a paused mover opens it for a move that is over', without: 'claimsSource', finds: LEFT_OPEN },
  { title: 'a target without a row of the move is not claimed: a paused mover prepares it for a move that is over', without: 'claimsUntouchedTarget', finds: LEFT },
  { title: 'a mover that begins anew does not wait for its own commit under way', without: 'claimsAgain', finds: LEFT },
  { title: 'a holder that gets the lease again keeps its token', without: 'leaseRaisesToken', finds: LOST_WRITE },
  { title: 'an unknown commit is taken for done', without: 'unknownCommitIsReadAgain', finds: LOST_WRITE },

  { title: 'a late purge that does not look at the slot row', without: 'purgeChecked', finds: LOST_WRITE },
  { title: 'a slot moved away and back by one leader, the move not checked: its late purge', without: 'moveChecked', finds: LOST_WRITE },
  { title: 'a late clear that takes the notes of the next move', without: 'clearChecksSource', finds: /^(W1|both sides differ)/ },

  { title: 'a second move of a slot that moves', without: 'oneOpenMove', finds: /^R3/ },
  { title: 'a topology published by who holds the lease no more', without: 'publishUnderLease', finds: /^R2/ },
  { title: 'a read in two statements, while the slot moves between them', without: 'readInOneStatement', finds: /^a read on/ },
];

describe('the exploration finds what is broken', () => {
  test.each(VARIANTS)(
    '$title',
    ({ without, finds, lossy = false }) => {
      const { found } = explore({ rules: { ...PROTOCOL, [without]: false }, lossy }, { seed: 1, schedules: SCHEDULES_MAX, of: finds });
      expect(found?.violation).toMatch(finds);
    },
    TIMEOUT_MS,
  );

  test('every rule of the protocol has its variant', () => {
    expect(VARIANTS.map(({ without }) => without).sort()).toEqual(Object.keys(PROTOCOL).sort());
  });
});
