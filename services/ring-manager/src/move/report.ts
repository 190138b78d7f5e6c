/** What the mover tells of the move: every change of phase, and progress about twice a second. */
import { PgError } from '@millrace/postgres';
import { REPORT_INTERVAL_MS } from './limits.ts';
import type { DriveInput, MovePhase, MoveProgress } from './types.ts';

export interface Reporter {
  /** Keeps what it cannot tell now for the next time. @throws Superseded */
  tell(phase: MovePhase, progress?: Partial<MoveProgress>): Promise<void>;
  /** Tells at once: the last word, or an error. @throws Superseded */
  insist(progress: Partial<MoveProgress>): Promise<void>;
  phase(): MovePhase;
  /** When the source was fenced, by this mover or by one before it that has told. */
  fencedAt(): Date | undefined;
  /** What is to be told where a commit without an answer is found to have happened. */
  suppose(progress: Partial<MoveProgress>): void;
  supposed(): Partial<MoveProgress>;
}

/** Begins with what is stored of the move: a mover that takes over never falls back behind it. */
export function createReporter({ report, log, phase: storedPhase, progress: stored }: Pick<DriveInput, 'report' | 'log' | 'phase' | 'progress'>): Reporter {
  let phase = storedPhase;
  let fencedAt = stored.fencedAt;
  let supposed: Partial<MoveProgress> = {};
  let told: MovePhase | undefined;
  let toldAtMs = 0;
  let pending: Partial<MoveProgress> = {};

  async function send(): Promise<void> {
    const progress = pending;
    pending = {};
    toldAtMs = performance.now();
    try {
      await report(phase, progress);
      told = phase;
    } catch (error) {
      // A control database that is down must not stop a copy: the rows on the shards are what counts.
      if (!(error instanceof PgError)) throw error;
      pending = { ...progress, ...pending };
      log.warn({ reason: error.message }, 'the progress of a move could not be told; it follows later');
    }
  }

  return {
    async tell(next, progress = {}) {
      phase = next;
      pending = { ...pending, ...progress };
      fencedAt = progress.fencedAt ?? fencedAt;
      if (told !== phase || performance.now() - toldAtMs >= REPORT_INTERVAL_MS) await send();
    },
    async insist(progress) {
      pending = { ...pending, ...progress };
      await send();
    },
    phase: () => phase,
    fencedAt: () => (fencedAt === undefined ? undefined : new Date(fencedAt)),
    suppose(progress) {
      supposed = progress;
    },
    supposed: () => supposed,
  };
}
