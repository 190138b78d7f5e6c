/** What a stream asks of the checker: its records read as deeds, each of which answers as the shard must have. */
import type { WriteEnvelope } from '@millrace/wire';
import type { Stream } from '@millrace/write';
import type { Message } from './message.ts';

/** The rules of a stream, over the model of one slot. */
export interface StreamRules {
  readonly stream: Stream;
  /** What a record asks for; undefined where it can never apply, and so must be parked. */
  read(envelope: WriteEnvelope, key: string): Deed | undefined;
}

/** Where and when a record stands. */
export interface Place {
  readonly key: string;
  readonly offset: bigint;
  readonly atMs: number;
}

/** Changes the model, and tells what the journal must say; `parked` where no shard can apply it, with nothing changed. */
export type Deed = (at: Place) => Answer | 'parked';

export interface Answer {
  /** Why it was refused; null where it was applied. */
  readonly code: string | null;
  /** What the journal tells besides; where absent, nothing for what was applied, anything for a refusal. */
  readonly facts?: Facts | null;
  readonly messages?: readonly Message[];
}

export type Facts = Readonly<Record<string, string>>;
