/** Waits for the end of a plan or a move, and shows how far it is. Whoever waits may leave: the moves go on without. */
import { sleep } from '@millrace/runtime';

import type { Output } from '../output.ts';
import type { AdminClient } from './admin-client.ts';
import { isOver, type Move, type Plan } from './admin-schema.ts';
import { isPassing } from '../api/api-error.ts';
import { createMeter, progressLine, type Look } from './progress.ts';
import { secondsText } from './figures.ts';

const LOOK_EVERY_MS = 500;
/** A ring-manager that was killed is back by then, or another one leads; after this the wait gives up. */
const SILENCE_MAX_MS = 300_000;

export interface FollowInput {
  readonly admin: Pick<AdminClient, 'plan' | 'moves'>;
  readonly output: Pick<Output, 'live' | 'settle'>;
  /** Ends the wait, not the plan. */
  readonly signal: AbortSignal;
  readonly bar?: boolean;
  readonly nowMs?: () => number;
}

export interface Followed {
  readonly plan: Plan;
  readonly moves: readonly Move[];
}

/** The plan and its moves when it is over; undefined where the signal came first. @throws ApiProblem, ApiSilent */
export async function followPlan(input: FollowInput, id: string): Promise<Followed | undefined> {
  const { admin, output, bar = process.stdout.isTTY } = input;
  const meter = createMeter();
  const look = async (): Promise<Followed> => {
    const plan = await admin.plan(id); // before its moves: of a plan that is over they are all over too
    return { plan, moves: await admin.moves({ plan: id }) };
  };
  return await follow(input, look, (followed, atMs) => {
    output.live(progressLine(meter({ ...followed, atMs } satisfies Look), { bar }));
    return isOver(followed.plan);
  });
}

/** A move by hand; as `followPlan`. */
export async function followMove(input: Omit<FollowInput, 'admin'> & { readonly admin: Pick<AdminClient, 'move'> }, id: string): Promise<Move | undefined> {
  return await follow(input, () => input.admin.move(id), (move) => {
    input.output.live(moveLine(move));
    return isOver(move);
  });
}

type Waiting = Pick<FollowInput, 'output' | 'signal' | 'nowMs'>;

async function follow<T>({ output, signal, nowMs = () => performance.now() }: Waiting, look: () => Promise<T>, show: (seen: T, atMs: number) => boolean): Promise<T | undefined> {
  let answeredAtMs = nowMs();
  while (!signal.aborted) {
    try {
      const seen = await look();
      answeredAtMs = nowMs();
      if (!show(seen, answeredAtMs)) await sleep(LOOK_EVERY_MS, signal).catch(() => undefined);
      else return seen;
    } catch (error) {
      const silentMs = nowMs() - answeredAtMs;
      if (!isPassing(error) || silentMs > SILENCE_MAX_MS) throw error;
      output.live(`no answer from the ring-manager for ${secondsText(silentMs / 1_000)}; the moves go on when one leads again`);
      await sleep(LOOK_EVERY_MS, signal).catch(() => undefined);
    } finally {
      if (signal.aborted) output.settle();
    }
  }
  return undefined;
}

function moveLine({ id, slot, source, target, phase, paused, progress: { rows = 0, stall_ms }, error }: Move): string {
  const stall = stall_ms === undefined ? '' : `  stall ${Math.round(stall_ms)} ms`;
  return `move ${id}: slot ${slot} from ${source} to ${target}  ${paused ? 'paused' : phase}  ${rows.toLocaleString('en')} rows${stall}${error === undefined ? '' : `  (${error})`}`;
}
