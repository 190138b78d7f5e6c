/**
 * The rules of the protocol, each with what it prevents. The protocol keeps them all; a test breaks one and expects the
 * exploration to find what the rule prevents.
 */

export interface Rules {
  /** A turn reads the slot row after it has locked its position. Before it, a fence between the two goes unseen. */
  readonly turnReadsSlotAfterLock: boolean;
  /** A turn of a MOVING slot notes what it changes. Otherwise a row that is copied already stays old on the target. */
  readonly turnsNote: boolean;
  /** Journal rows below the turn's position are noted too: a release writes them, and no range of offsets finds them again. */
  readonly turnsNoteOldJournalRows: boolean;
  /** MOVING is set under the position locks of every stream: no turn that saw ACTIVE, and so notes nothing, still is under way. */
  readonly openLocksEveryStream: boolean;
  /** MOVED is set under the position locks of every stream: no turn that saw MOVING still is under way. */
  readonly fenceLocksEveryStream: boolean;
  /** The source gives the slot up before the target takes it. */
  readonly fenceBeforeActivation: boolean;
  /** The first cursor is read before the first chunk: what changes after it is found by the rounds. */
  readonly cursorBeforeChunks: boolean;
  /** A round reads its end before the notes: a turn that commits between them belongs to the next round. */
  readonly roundReadsPositionFirst: boolean;
  /** A chunk, or a round, and the progress that it makes are one transaction. */
  readonly progressWithRows: boolean;
  /** The last delta is on the target before it takes the slot. */
  readonly lastDeltaBeforeActivation: boolean;
  /** Both sides are compared before the target takes the slot; a copy that lost a row is given up instead. */
  readonly compareBeforeActivation: boolean;
  /** The comparison leaves out what the cursor does not cover: journal rows at and above it, and rows noted there. */
  readonly compareLeavesOutUncovered: boolean;
  /** The target rejects before the source returns. */
  readonly rejectBeforeReturn: boolean;
  /** R5: a transaction of a mover finds its fencing token in the slot row that it writes under. */
  readonly tokenChecked: boolean;
  /** R5: and its move. The same leader may drive the slot away and back. */
  readonly moveChecked: boolean;
  /** A leader writes its token into the rows before it looks at them. */
  readonly claimsTarget: boolean;
  readonly claimsSource: boolean;
  /** The target's row is claimed whatever it says, and made where there is none. Otherwise nothing refuses a late prepare. */
  readonly claimsUntouchedTarget: boolean;
  /** Also by a mover that begins anew under the same token: the claim waits for its own commits that are still under way. */
  readonly claimsAgain: boolean;
  /** Purging is a transaction of a mover like any other: under the slot row, with its move and its token. */
  readonly purgeChecked: boolean;
  /** The notes of a returned source go only while it is ACTIVE and without a move: a late clear must not take those of the next one. */
  readonly clearChecksSource: boolean;
  /** A new lease has a new token, also where the holder is the same as before. */
  readonly leaseRaisesToken: boolean;
  /** R3: a move is refused while another of the slot is open. */
  readonly oneOpenMove: boolean;
  /** The topology changes only by the holder of the lease, from the epoch that it read. */
  readonly publishUnderLease: boolean;
  /** A mover that does not know whether its commit happened reads the rows again. */
  readonly unknownCommitIsReadAgain: boolean;
  /** A read takes the slot row and the row in one statement. */
  readonly readInOneStatement: boolean;
}

export const PROTOCOL: Rules = {
  turnReadsSlotAfterLock: true,
  turnsNote: true,
  turnsNoteOldJournalRows: true,
  openLocksEveryStream: true,
  fenceLocksEveryStream: true,
  fenceBeforeActivation: true,
  cursorBeforeChunks: true,
  roundReadsPositionFirst: true,
  progressWithRows: true,
  lastDeltaBeforeActivation: true,
  compareBeforeActivation: true,
  compareLeavesOutUncovered: true,
  rejectBeforeReturn: true,
  tokenChecked: true,
  moveChecked: true,
  claimsTarget: true,
  claimsSource: true,
  claimsUntouchedTarget: true,
  claimsAgain: true,
  purgeChecked: true,
  clearChecksSource: true,
  leaseRaisesToken: true,
  oneOpenMove: true,
  publishUnderLease: true,
  unknownCommitIsReadAgain: true,
  readInOneStatement: true,
};
