/**
 * The three commands of a participant, for any kind of participant: hold, confirm, release. Each answers its saga.
 *
 * S2 a release that comes before its hold leaves a tombstone, and the late hold is refused. A command that an operator
 * sends again is answered by what the hold's row says.
 */
import { assert, must } from '@millrace/write';
import { z } from 'zod';
import { type AnyWriteType, type At, type Change, type Decision, type Message, type Ref, type Row, type Table, type WriteType, put } from '../model.ts';
import { type CommandData, type Direction, type ParticipantKind, type Phase, type Refusal, type ReplyOutcome, parseSagaId, replyTo } from '../saga/messages.ts';
import { type HoldRow, hold } from './table.ts';
import { confirmedIn, heldIn, type Pool, releasedIn, type Terms } from './pool.ts';

/** A kind of participant: its row, how its pool is read and written, and what its commands say. */
export interface ParticipantType<R extends Row, C extends CommandData, H extends C> {
  readonly kind: ParticipantKind;
  readonly table: Table<R>;
  /** A confirmation and a release name the participant and the saga; a hold has terms as well. */
  readonly schemas: { readonly settle: z.ZodType<C>; readonly hold: z.ZodType<H> };
  idOf(data: C): string;
  poolOf(row: R): Pool;
  withPool(row: R, pool: Pool): R;
  /** What a hold wants of the row, or why it cannot want that. */
  termsOf(row: R | undefined, at: At, data: H): Wanted<R> | Refusal;
  /** Why the terms could not be held. */
  refusalOf(row: R, id: string, terms: Terms): Refusal;
}

export interface Wanted<R> {
  readonly row: R;
  readonly terms: Terms;
}

export const commandFields = {
  saga: z.string().max(240).refine((id) => parseSagaId(id) !== undefined, { error: 'must be the id of a saga' }),
  attempt: z.int().min(0),
};
export const direction: z.ZodType<Direction> = z.enum(['out', 'in']);

/** The commands of a kind of participant, as write types that only sagas send. */
export function commandsOf<R extends Row, C extends CommandData, H extends C>(type: ParticipantType<R, C, H>): readonly AnyWriteType[] {
  return [holdCommand(type), settleCommand(type, 'confirm'), settleCommand(type, 'release')];
}

function holdCommand<R extends Row, C extends CommandData, H extends C>(type: ParticipantType<R, C, H>): WriteType<H> {
  return {
    type: `${type.kind}.hold`,
    summary: 'Keep something for a saga',
    schema: type.schemas.hold,
    id: (data) => type.idOf(data),
    reads: (at, data) => readsOf(type, at, data),
    apply(rows, at, data) {
      const before = rows.get(hold, holdKey(type.kind, at, data));
      // S2: the release was here first.
      if (before?.state === 'released') return refusing(type, data, { code: 'already_released' });
      if (before) return answering(type, data, 'hold', []);
      const wanted = type.termsOf(rows.get(type.table, [at.key]), at, data);
      if ('code' in wanted) return refusing(type, data, wanted);
      const { row, terms } = wanted;
      const pool = heldIn(type.poolOf(row), terms);
      if (pool === undefined) return refusing(type, data, type.refusalOf(row, type.idOf(data), terms));
      const kept: HoldRow = { key: at.key, kind: type.kind, saga: data.saga, ...terms, state: 'held' };
      return answering(type, data, 'hold', [put(type.table, type.withPool(row, pool)), put(hold, kept)]);
    },
  };
}

function settleCommand<R extends Row, C extends CommandData, H extends C>(type: ParticipantType<R, C, H>, phase: 'confirm' | 'release'): WriteType<C> {
  const settled = phase === 'confirm' ? 'confirmed' : 'released';
  const poolAfter = phase === 'confirm' ? confirmedIn : releasedIn;
  return {
    type: `${type.kind}.${phase}`,
    summary: phase === 'confirm' ? 'Make final what is kept for a saga' : 'Give back what is kept for a saga',
    schema: type.schemas.settle,
    id: (data) => type.idOf(data),
    reads: (at, data) => readsOf(type, at, data),
    apply(rows, at, data) {
      const kept = rows.get(hold, holdKey(type.kind, at, data));
      if (kept === undefined) {
        assert(phase === 'release', 'S4: a saga confirms only what is held');
        return answering(type, data, phase, [put(hold, tombstone(type.kind, at, data))]);
      }
      if (kept.state === settled) return answering(type, data, phase, []);
      assert(kept.state === 'held', `S4: what is ${kept.state} cannot be ${settled}`);
      const row = must(rows.get(type.table, [at.key]), 'S4: what is held is there');
      const changed = type.withPool(row, poolAfter(type.poolOf(row), kept));
      return answering(type, data, phase, [put(type.table, changed), put(hold, { ...kept, state: settled })]);
    },
  };
}

function readsOf<R extends Row, C extends CommandData, H extends C>(type: ParticipantType<R, C, H>, at: At, data: C): readonly Ref[] {
  return [
    { table: type.table, key: [at.key] },
    { table: hold, key: holdKey(type.kind, at, data) },
  ];
}

function holdKey(kind: ParticipantKind, at: At, { saga }: CommandData): readonly string[] {
  return [at.key, kind, saga];
}

function tombstone(kind: ParticipantKind, at: At, { saga }: CommandData): HoldRow {
  return { key: at.key, kind, saga, direction: 'out', units: 0n, state: 'released' };
}

interface Answering<C> {
  readonly kind: ParticipantKind;
  idOf(data: C): string;
}

function answering<C extends CommandData>(type: Answering<C>, data: C, phase: Phase, changes: readonly Change[]): Decision {
  return { outcome: 'applied', changes, messages: [reply(type, data, phase, { done: true })] };
}

function refusing<C extends CommandData>(type: Answering<C>, data: C, refusal: Refusal): Decision {
  return { outcome: 'refused', ...refusal, messages: [reply(type, data, 'hold', { done: false, ...refusal })] };
}

function reply<C extends CommandData>(type: Answering<C>, data: C, phase: Phase, outcome: ReplyOutcome): Message {
  const ref = must(parseSagaId(data.saga), 'the schema checked the id of the saga');
  return replyTo(ref, { kind: type.kind, id: type.idOf(data) }, { phase, attempt: data.attempt, outcome });
}
