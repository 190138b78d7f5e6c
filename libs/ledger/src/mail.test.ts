import { describe, expect, test } from '@jest/globals';
import type { Stream } from '@millrace/write';
import { createMail, type Cut } from './mail.ts';
import { hashOfMessage, type Message } from './message.ts';
import type { JournalRow } from './snapshot.ts';

const CUT: Cut = { position: () => 10n, relayed: () => 5n, end: () => 8n };

function message(n: number): Message {
  return { stream: 'sagas', key: 'demo/a', type: 'saga.reply', idempotencyKey: `\u0001${n}`, data: { n } };
}

function row(offset: bigint, n: number, releasedBy: string | null = null): JournalRow {
  return { offset, releasedBy, messages: [message(n)], bodyHash: 0n, atMs: 0, digest: null, outcome: 'applied', key: 'demo/a', type: 'x', code: null, first: null, facts: null };
}

const FROM = { stream: 'writes' as Stream, slot: 4095 };
const at = (offset: bigint) => ({ stream: 'sagas' as Stream, slot: 7, offset });

describe('mail', () => {
  test('a message and its record meet, whichever comes first', () => {
    const mail = createMail(CUT);
    mail.sent(FROM, [row(1n, 1)]);
    mail.received(at(0n), hashOfMessage(message(1)));
    mail.received(at(1n), hashOfMessage(message(2)));
    mail.sent(FROM, [row(2n, 2)]);
    expect(mail.left()).toEqual({ lost: [], invented: [], underWay: 0 });
  });

  test('what was relayed by the cut must be there; what was not may be on its way, and may be there', () => {
    const mail = createMail(CUT);
    mail.sent(FROM, [row(4n, 1), row(5n, 2), row(6n, 3)]);
    mail.received(at(0n), hashOfMessage(message(3)));
    expect(mail.left()).toEqual({ lost: [{ ...FROM, offset: 4n }], invented: [], underWay: 1 });
  });

  test('what a release let go is relayed with the release', () => {
    const mail = createMail(CUT);
    mail.sent(FROM, [row(1n, 1, '6'), row(2n, 2, '4')]);
    expect(mail.left()).toEqual({ lost: [{ ...FROM, offset: 2n }], invented: [], underWay: 1 });
  });

  test('a record below the end at the cut was sent before any snapshot; one behind it perhaps after', () => {
    const mail = createMail(CUT);
    mail.received(at(7n), hashOfMessage(message(1)));
    mail.received(at(8n), hashOfMessage(message(2)));
    expect(mail.left()).toEqual({ lost: [], invented: [at(7n)], underWay: 0 });
  });

  test('a message is itself in every part', () => {
    const one = message(1);
    const others: Message[] = [{ ...one, stream: 'writes' }, { ...one, key: 'demo/b' }, { ...one, type: 'saga.retry' }, { ...one, idempotencyKey: '\u00012' }, { ...one, data: { n: 2 } }];
    expect(new Set([one, ...others].map(hashOfMessage)).size).toBe(6);
  });
});
