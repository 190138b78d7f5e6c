/** The rules that keep S1 to S5, each with what it prevents. A test breaks one, and expects the simulation to find it. */
export const RULES = {
  // Messages
  dedup: 'A record that comes again is known by its digest, and changes nothing (S1).',
  replyCountsOnce: 'A reply counts only where its part still waits: that of another attempt is no second part (S1).',
  replyCountsForItsPhase: 'A reply counts only for the phase that the saga asks for now: a late hold is no release (S3).',
  retryIsAnotherAttempt: "An operator's retry sends under keys of its own: under the old ones the participant would drop it (S5).",
  replyOfItsAttempt: 'Nor has the reply the key of an earlier one, which may say something else (S1).',
  relayRemembersWhatArrived: 'The relay position passes only what is acknowledged: a crash loses the rest, and it is sent again (S5).',
  moveCarriesJournal: 'What is not relayed moves with its slot (S5).',
  moveCarriesDigests: 'What is applied is known on the new shard (S1).',
  // Participants
  tombstone: 'A release that comes before its hold leaves a tombstone (S2).',
  releaseBeforeHoldAnswers: 'It answers all the same: the saga waits for it (S5).',
  compensationSucceeds: 'A release of what is held is never refused (S5).',
  holdOfItsKind: 'An account and a stock item of one id have holds of their own (S4).',
  holdChecksPool: 'Only what is available is held (S4).',
  heldOnce: 'A hold that comes again, in another attempt, keeps nothing again (S4).',
  settledOnce: 'A confirmation that comes again, in another attempt, takes nothing again (S4).',
  // Sagas
  confirmAfterAllHold: 'The pivot is the last hold: none is confirmed before (S4).',
  releaseToUnanswered: 'Also those that have not answered are released: their hold may be under way (S5).',
  refusedIsReleasedAfterRetry: 'After a retry also who refused is released: it may have held the other attempt (S5).',
  endsWhenAllAnswered: 'A saga ends when everybody has answered, not when everybody was asked (S5).',
  timeoutBeforePivot: 'A timeout after the pivot undoes nothing (S3).',
  timeoutWhenDue: 'A timeout counts when it is time by the log: a process whose clock is ahead undoes nothing early (S3).',
  cancelBeforePivot: 'A cancel after the pivot undoes nothing (S4).',
  shotsAreRecords: 'Each shot of a timer is a record of its own: one that was early, or skipped, does not use it up (S5).',
  timersAreRows: 'Timers are rows, and outlive crashes and moves (S5).',
  // Returns
  returnOfConfirmed: 'Only a confirmed order has anything to return (S4).',
  claimTaken: 'What a return claims is taken from the order with its start (S4).',
  claimGivenBack: 'What a return had claimed is given back when it is undone (S4).',
} as const;

export type Rule = keyof typeof RULES;
