/**
 * The messages between the streams, across all slots: what the journals say was sent, against what the topics hold.
 *
 * A message that was relayed is in its topic, and a message that is in a topic was sent by a journal row. Both sides
 * are met slot by slot, in any order, so what has met its other half is forgotten: a message whose other half is still
 * to come costs about 150 bytes.
 *
 * Streams may run meanwhile. A cut is taken before the first snapshot: first how far each slot has relayed, then where
 * the topics end. What was relayed by then lies below those ends; and what lies below them was sent before any snapshot.
 */
import type { Stream } from '@millrace/write';
import { hashOfMessage, type Message } from './message.ts';
import type { JournalRow } from './snapshot.ts';

export interface Cut {
  /** Where the position and the relay of a slot stood. */
  position(stream: Stream, slot: number): bigint;
  relayed(stream: Stream, slot: number): bigint;
  /** Where the slot's log ended after that. */
  end(stream: Stream, slot: number): bigint;
}

/** A record, or a journal row. */
export interface MailPlace {
  readonly stream: Stream;
  readonly slot: number;
  readonly offset: bigint;
}

export interface Mail {
  /** The journal rows of a slot on the shard that holds it. */
  sent(at: Omit<MailPlace, 'offset'>, journal: readonly JournalRow[]): void;
  /** A record that only a journal row can have sent, once however often it is there. */
  received(at: MailPlace, hash: string): void;
  /** What is left over: relayed but not there, there but never sent; and how many are on their way. */
  left(): { readonly lost: readonly MailPlace[]; readonly invented: readonly MailPlace[]; readonly underWay: number };
}

const RELAYED = 0;
const SENT = 1;
const RECEIVED = 2;
type Kind = typeof RELAYED | typeof SENT | typeof RECEIVED;

/** A place and a kind in one number: 13 bits of slot and stream, 38 of offset, 2 of kind. */
const OFFSETS = 2 ** 38;
const KINDS = 4;

export function createMail(cut: Cut): Mail {
  const open = new Map<string, number>();

  function meet(hash: string, kind: Kind, at: MailPlace): void {
    const other = open.get(hash);
    const isMet = other !== undefined && (other % KINDS === RECEIVED) !== (kind === RECEIVED);
    if (isMet) open.delete(hash);
    else if (other === undefined) open.set(hash, codeOf(kind, at));
  }

  return {
    sent({ stream, slot }, journal) {
      const relayed = cut.relayed(stream, slot);
      for (const { offset, releasedBy, messages } of journal) {
        if (!Array.isArray(messages)) continue;
        // What was parked is sent on with the release that let it go.
        const kind = BigInt(releasedBy ?? offset) < relayed ? RELAYED : SENT;
        for (const message of (messages as readonly unknown[]).filter(isMessage)) meet(hashOfMessage(message), kind, { stream, slot, offset });
      }
    },
    received(at, hash) {
      if (at.offset < cut.end(at.stream, at.slot)) meet(hash, RECEIVED, at);
    },
    left() {
      const places = (kind: Kind): readonly MailPlace[] => [...open.values()].filter((code) => code % KINDS === kind).map(placeOf);
      return { lost: places(RELAYED), invented: places(RECEIVED), underWay: places(SENT).length };
    },
  };
}

function isMessage(message: unknown): message is Message {
  return typeof message === 'object' && message !== null;
}

function codeOf(kind: Kind, { stream, slot, offset }: MailPlace): number {
  return ((slot * 2 + (stream === 'sagas' ? 1 : 0)) * OFFSETS + Number(offset)) * KINDS + kind;
}

function placeOf(code: number): MailPlace {
  const place = Math.floor(code / KINDS);
  const where = Math.floor(place / OFFSETS);
  return { stream: where % 2 === 1 ? 'sagas' : 'writes', slot: Math.floor(where / 2), offset: BigInt(place % OFFSETS) };
}
