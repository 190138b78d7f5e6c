/**
 * The end of the lanes: turns under way, what they send, and how far that is. Each shard by itself, and each step within
 * its time: what is left is found again by the next owner, from the position and the journal.
 */
import type { Log } from '@millrace/runtime';
import type { ShardId } from '@millrace/write';
import { DRAIN } from './service-limits.ts';
import { within } from './within.ts';

export interface Ending {
  readonly lane: { readonly shard: ShardId; stopped(): Promise<void> };
  readonly relay: { drain(): Promise<void>; save(): Promise<void> };
}

export interface DrainLanesInput {
  /** Their turns are told to end. */
  readonly lanes: readonly Ending[];
  /** Nothing more is published. */
  readonly stopRelays: () => void;
  readonly log: Log;
  readonly limits?: Readonly<Record<'turnsMs' | 'saveMs', number>>;
}

export async function drainLanes({ lanes, stopRelays, log, limits = DRAIN }: DrainLanesInput): Promise<void> {
  const busy = new Set(lanes);
  const end = async (ending: Ending): Promise<void> => {
    await ending.lane.stopped();
    await ending.relay.drain();
    busy.delete(ending);
  };
  await within(limits.turnsMs, Promise.all(lanes.map(end)));
  stopRelays();
  for (const { lane } of busy) log.warn({ shard: lane.shard, waitedMs: limits.turnsMs }, 'a turn or its events are not over; the next owner finds them in the journal');
  const save = async ({ lane, relay }: Ending): Promise<void> =>
    relay.save().catch((error: unknown) => log.warn({ shard: lane.shard, reason: String(error) }, 'relay positions are not saved; the next owner publishes some events again'));
  if (!(await within(limits.saveMs, Promise.all(lanes.map(save))))) log.warn({ waitedMs: limits.saveMs }, 'relay positions are not saved in time; the next owner publishes some events again');
}
