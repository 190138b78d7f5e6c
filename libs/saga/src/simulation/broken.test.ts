import { describe, expect, test } from '@jest/globals';
import { explore } from './explore.ts';
import { RULES, type Rule } from './rules.ts';

const SCHEDULES_MAX = 20_000;
const TIMEOUT_MS = 300_000;

interface Broken {
  readonly title: string;
  readonly without: Rule;
  /** The violation that the rule prevents. */
  readonly finds: RegExp;
}

const MOVED_AGAIN = /^S1: .* moves .* again$/;
const TWO_MESSAGES = /^S1: .* names two messages$/;
const NO_END = /^S5: .* does not end/;
const LOST = /^S5: (.* does not end|.* has not begun|.* still reserves)/;
const DEADLINE_MISSED = /^S5: .* still reserves, and its deadline has passed$/;
const ESCROW_LEFT = /^S5: .* (still holds|is kept for .* for ever)$/;
const NOT_CONSERVED = /^S4: .* conserved it would be/;
const NOT_HELD = /^S4: .* is confirming, and .* does not hold$/;
const UNLIKE_HOLDS = /^S4: .* (keeps|expects) .*, its holds are/;
const CLAIMS = /^S4: of .* line/;

const VARIANTS: readonly Broken[] = [
  { title: 'no dedup: a command that is relayed again is decided again, and says something else', without: 'dedup', finds: TWO_MESSAGES },
  { title: 'no dedup: a deposit that a client sends again is paid in again', without: 'dedup', finds: NOT_CONSERVED },
  { title: 'a reply applied twice: that of another attempt counts as that of another part', without: 'replyCountsOnce', finds: MOVED_AGAIN },
  { title: 'a late reply to a hold counts as one to its release', without: 'replyCountsForItsPhase', finds: /^S3: saga.reply of hold/ },
  { title: 'a retry under the keys of the first attempt', without: 'retryIsAnotherAttempt', finds: NO_END },
  { title: 'replies of all attempts under one key', without: 'replyOfItsAttempt', finds: TWO_MESSAGES },
  { title: 'a relay position beyond what has arrived, and a crash', without: 'relayRemembersWhatArrived', finds: LOST },
  { title: 'a slot that moves without what its journal has yet to send', without: 'moveCarriesJournal', finds: LOST },
  { title: 'a slot that moves without the digests of what it applied', without: 'moveCarriesDigests', finds: /^S[14]: / },

  { title: 'no tombstone: a hold after its release', without: 'tombstone', finds: /^S2: .* is held after its release$/ },
  { title: 'a release that finds no hold, and answers nobody', without: 'releaseBeforeHoldAnswers', finds: NO_END },
  { title: 'a compensation that may fail', without: 'compensationSucceeds', finds: NO_END },
  { title: 'a hold of more than there is', without: 'holdChecksPool', finds: /^S4: .* is below zero$/ },
  { title: 'a hold that comes again, and keeps again', without: 'heldOnce', finds: UNLIKE_HOLDS },
  { title: 'a confirmation that comes again, and takes again', without: 'settledOnce', finds: /^(S4: .* keeps|a fold fails: S4)/ },
  { title: 'an account and a sku of one id with one hold', without: 'holdOfItsKind', finds: NOT_HELD },

  { title: 'confirm before all hold', without: 'confirmAfterAllHold', finds: NOT_HELD },
  { title: 'no release to a part that has not answered', without: 'releaseToUnanswered', finds: ESCROW_LEFT },
  { title: 'no release to a part that refused, after a retry', without: 'refusedIsReleasedAfterRetry', finds: ESCROW_LEFT },
  { title: 'an end before all have released', without: 'endsWhenAllAnswered', finds: ESCROW_LEFT },
  { title: 'a timeout that undoes after the pivot', without: 'timeoutBeforePivot', finds: /^S3: saga.timeout of a deadline/ },
  { title: 'a cancel that undoes after the pivot', without: 'cancelBeforePivot', finds: /^S4: .* goes from confirming to undoing$/ },
  { title: 'an early timeout that is believed', without: 'timeoutWhenDue', finds: /^S3: saga.timeout moves .* before its time$/ },
  { title: 'a timer whose shots are one record', without: 'shotsAreRecords', finds: DEADLINE_MISSED },
  { title: 'a timer kept in memory', without: 'timersAreRows', finds: DEADLINE_MISSED },

  { title: 'a return of an order that is not confirmed', without: 'returnOfConfirmed', finds: /^S[14]: / },
  { title: "a return's claim that is not taken from its order", without: 'claimTaken', finds: CLAIMS },
  { title: "a return's claim that is not given back", without: 'claimGivenBack', finds: CLAIMS },
];

describe('the simulation finds what is broken', () => {
  test.each(VARIANTS)(
    '$title',
    ({ without, finds }) => {
      const { found } = explore({ broken: without }, { seed: 1, schedules: SCHEDULES_MAX, of: finds });
      expect(found?.violation).toMatch(finds);
    },
    TIMEOUT_MS,
  );

  test('every rule has its variant', () => {
    expect([...new Set(VARIANTS.map(({ without }) => without))].sort()).toEqual(Object.keys(RULES).sort());
  });
});
