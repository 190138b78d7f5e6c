/**
 * What a mover is given, and what it tells.
 *
 * R5 every transaction of a mover that writes on a shard locks the slot's row first and finds its move and its fencing
 * token there. A mover that does not is superseded: another one drives the move, and this one must not write again.
 */
import type { Database } from '@millrace/postgres';
import type { Log } from '@millrace/runtime';
import type { ShardId, Slot } from '@millrace/write';

export interface MoveOrder {
  readonly id: bigint;
  readonly slot: Slot;
  readonly source: ShardId;
  readonly target: ShardId;
}

/** What the mover does now, for people; which step comes next is read from the rows on the shards. */
export type MovePhase =
  | 'planned'
  | 'preparing'
  | 'copying'
  | 'catching_up'
  | 'checking'
  | 'fenced'
  | 'activated'
  | 'purging'
  | 'done'
  | 'aborting'
  | 'aborted';

/** What the operator wants of a move now. */
export type MoveWish = 'forward' | 'abort' | 'pause';

export interface MoveProgress {
  /** Rows copied, those of the rounds included. */
  readonly rows: number;
  /** Bytes of them in COPY's text format. */
  readonly bytes: number;
  readonly rounds: number;
  readonly bytesPerSecond: number;
  /** From the commit of the fence to the commit of the activation, by the movers' clocks. */
  readonly stallMs: number;
  /** From the decision to fence until the positions were locked: applying went on meanwhile. */
  readonly fenceWaitMs: number;
  readonly fencedAt: string;
  readonly activatedAt: string;
  /** Of the comparison of both sides, equal on both. */
  readonly tables: readonly ComparedTable[];
  /** Rows purged from the source, or from the target of an aborted move. */
  readonly purged: number;
  /** Why the mover waits, or why the move was turned back; null once that is over. */
  readonly error: string | null;
}

/** Rows of a table when both sides were compared: all of them, or in ranges one after the other. */
export interface ComparedTable {
  readonly table: string;
  readonly rows: string;
  /** Sum of the rows' hashes. */
  readonly checksum: string;
  /** Before the fence, range by range while writes went on; or as a whole inside the fence. */
  readonly when: 'before_fence' | 'in_fence';
}

/** A byte throttle that all moves of a process share. */
export interface Pace {
  /** Resolves when so many bytes may be copied. Rejects with the signal's reason. */
  take(bytes: number, signal: AbortSignal): Promise<void>;
  /**
   * Waits in proportion to `workedMs`, and to what other moves have worked on the same shards, where one of them has
   * applied writes lately; not at all where none has.
   */
  rest(workedMs: number, shards: readonly ShardId[], signal: AbortSignal): Promise<void>;
  /** How long a piece of work on these shards should take that takes `idleMs` where none of them applies writes. */
  pieceMs(idleMs: number, shards: readonly ShardId[]): number;
  /** How long a cheap question to a shard of a move took, in milliseconds, and how many records it has ever applied. */
  observe(shard: ShardId, seen: { readonly latencyMs: number; readonly applied: bigint }): void;
  bytesPerSecond(): number;
}

export interface DriveInput {
  readonly order: MoveOrder;
  /** The fencing token: the lease's. */
  readonly token: bigint;
  /** As they are stored. */
  readonly phase: MovePhase;
  readonly progress: Partial<MoveProgress>;
  /** Of the owner's role. */
  readonly database: (shard: ShardId) => Database;
  /** Asked between steps and between chunks: cheap, and at most 500 ms old. */
  readonly wish: () => Promise<MoveWish>;
  /** Whether the newest topology names the target. */
  readonly isPublished: () => Promise<boolean>;
  /** Makes the target the owner in the topology, under the lease, and announces it. May be called again. @throws Superseded */
  readonly publish: () => Promise<void>;
  /** Merges into the progress of the move, under the lease. Called about twice a second. @throws Superseded */
  readonly report: (phase: MovePhase, progress: Partial<MoveProgress>) => Promise<void>;
  readonly pace: Pace;
  /** How long a slot may go unapplied between fence and activation. */
  readonly stallBudgetMs: number;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Called before each step by its name: tests stop or kill the mover there. */
  readonly onStep?: (name: string) => Promise<void>;
}

export type DriveResult = 'done' | 'aborted' | 'paused';

export interface VerifyReport {
  readonly verified: boolean;
  readonly tables: readonly VerifiedTable[];
  /** What could not be compared, and why; undefined where everything was. */
  readonly note?: string;
}

export interface VerifiedTable {
  readonly table: string;
  /** Rows compared, as the source counts them. */
  readonly rows: bigint;
  /** The first keys that differ, in the order of the primary key. */
  readonly differences: readonly Difference[];
}

export interface Difference {
  readonly key: readonly string[];
  /** Where the row is: on one side only, or on both but not equal. */
  readonly on: 'source' | 'target' | 'both';
}

export interface SlotStatistics {
  readonly slot: Slot;
  readonly rows: bigint;
  readonly bytes: bigint;
}

/** Another mover drives the move, or the move is over. Nothing of what this mover wanted to write is stored (R5). */
export class Superseded extends Error {
  override readonly name = 'Superseded';
  readonly code = 'superseded';
  readonly retryable = false;

  constructor(what: string) {
    super(`superseded: ${what}`);
  }
}

/** Both sides differ where they must be equal. The move must not activate: abort it, then look at the target's disk. */
export class VerificationFailed extends Error {
  override readonly name = 'VerificationFailed';
  readonly code = 'verification_failed';
  readonly retryable = false;

  constructor({ id, slot }: MoveOrder, what: string, cause?: unknown) {
    super(`move ${id} of slot ${slot}: ${what}. The copy is not used; the slot stays on its shard`, { cause });
  }
}

/** The rows of the shards allow no step: an operator must look at them. */
export class MoveStuck extends Error {
  override readonly name = 'MoveStuck';
  readonly code = 'move_stuck';
  readonly retryable = false;

  constructor(order: MoveOrder, reason: string) {
    super(`move ${order.id} of slot ${order.slot} from ${order.source} to ${order.target} is stuck: ${reason}`);
  }
}
