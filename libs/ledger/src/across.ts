/** What is seen only across slots: messages, the ends of sagas, money and stock. Fed slot by slot, judged at the end. */
import type { ShardId, Stream } from '@millrace/write';
import { parkedKeysOf, unbegunOf } from './delays.ts';
import { createEnds } from './ends.ts';
import { createMail, type Cut, type Mail, type MailPlace } from './mail.ts';
import { isOpen, type ModelSaga } from './saga-model.ts';
import type { SlotLedger } from './slot-ledger.ts';
import type { SlotRows } from './snapshot.ts';
import type { Difference, OpenSaga, Report } from './verdict.ts';

export interface Across {
  readonly mail: Mail;
  /** Takes a slot that was folded, with the rows of its holder. */
  add(ledger: SlotLedger, rows: SlotRows): void;
  /** `hasMoved`: something did between the cut and the last snapshot; a later look may judge more. */
  judge(): { readonly hasMoved: boolean };
}

export interface AcrossOptions {
  readonly cut: Cut;
  readonly report: Report;
  /** Who answers for a slot in a difference. */
  readonly owner: (slot: number) => ShardId | undefined;
  /** Makes what is still open a difference. */
  readonly requireEnded: boolean;
}

const STREAMS: readonly Stream[] = ['writes', 'sagas'];
const NO_SHARD = 'none' as ShardId;
const COUNTS = { order: 'orders', return: 'returns', transfer: 'transfers' } as const;

export function createAcross({ cut, report, owner, requireEnded }: AcrossOptions): Across {
  const mail = createMail(cut);
  const ends = createEnds(cut);
  /** Every log reaches back to its start, and was read to its end. */
  let isWhole = true;
  let isStill = true;
  let isEnded = true;
  let sumsJudged = false;

  function differs(kind: 'lost_message' | 'invented_message', { stream, slot, offset }: MailPlace, expected: string, actual: string): void {
    report.differs({ kind, shard: owner(slot) ?? NO_SHARD, stream, slot, offset, expected, actual });
  }

  function notEnded(found: Pick<Difference, 'slot' | 'stream' | 'offset' | 'key' | 'expected' | 'actual'>): void {
    isEnded = false;
    if (requireEnded) report.differs({ kind: 'not_ended', shard: owner(found.slot ?? 0) ?? NO_SHARD, ...found });
  }

  function countSagas({ slot, sagas }: SlotLedger): void {
    for (const saga of sagas.values()) {
      const of = COUNTS[saga.kind];
      if (!isOpen(saga)) report.saga(of, saga.state as 'confirmed' | 'rejected' | 'cancelled');
      else {
        report.saga(of, 'open', openSagaOf(saga));
        notEnded({ slot, key: `${saga.key}/${saga.name}`, expected: 'a saga that has ended', actual: `${saga.state}, waiting for ${waitingFor(saga)}` });
      }
    }
  }

  function countDelays(ledger: SlotLedger): void {
    const { slot } = ledger;
    for (const { of, key, offset } of unbegunOf(ledger)) {
      report.saga(of, 'open');
      notEnded({ slot, stream: 'writes', ...(offset === undefined ? {} : { offset }), key, expected: `a saga that has ended, of what was taken here (${of})`, actual: 'no saga: its start did not arrive, or is parked' });
    }
    for (const { records, ...at } of parkedKeysOf(ledger)) {
      notEnded({ slot, ...at, expected: 'no record of a saga that waits for an operator', actual: `the key is parked, with ${records} records` });
    }
  }

  function judgeWhole(): void {
    const { lost, invented, underWay } = mail.left();
    for (const at of lost) differs('lost_message', at, 'each message of this row in its topic, as a record', 'one is not there');
    for (const at of invented) differs('invented_message', at, 'a record that a journal row sent', 'no journal row holds such a message');
    report.agrees('messagesUnderWay', underWay);
    if (underWay > 0) notEnded({ expected: 'no message on its way', actual: `${underWay} messages that no topic holds yet` });
    const { contradictions, heldForOpen, areSumsJudged } = ends.judge(isStill);
    report.agrees('heldForOpen', heldForOpen);
    for (const { is, ...found } of contradictions) report.differs({ kind: is, shard: NO_SHARD, ...found });
    sumsJudged = areSumsJudged;
    if (areSumsJudged) report.sumsAreJudged();
  }

  return {
    mail,
    add(ledger, rows) {
      const { slot, folds, model, sagas, readTo } = ledger;
      for (const stream of STREAMS) {
        const { ends: log, position } = folds[stream];
        if (log.low > 0n || readTo(stream) < cut.end(stream, slot)) isWhole = false;
        if (position !== cut.position(stream, slot) || position !== cut.end(stream, slot) || readTo(stream) > position) isStill = false;
        mail.sent({ stream, slot }, rows.streams[stream].journal);
      }
      countSagas(ledger);
      countDelays(ledger);
      ends.add(slot, { sagas, model, rows });
    },
    judge() {
      if (isWhole) judgeWhole();
      if (!sumsJudged && isEnded) notEnded({ expected: 'sums of money and stock that can be judged', actual: isWhole ? 'something moved while they were added up' : 'not all of the logs could be read' });
      return { hasMoved: isWhole && !isStill };
    },
  };
}

function openSagaOf(saga: ModelSaga): OpenSaga {
  const { key, name, state, history } = saga;
  return { saga: `${key}/${name}`, state, sinceMs: history.at(-1)?.atMs ?? 0, waitingFor: waitingFor(saga) };
}

function waitingFor({ parts, waiting }: ModelSaga): string {
  const names = parts.filter((_, index) => waiting.includes(index)).map(({ kind, id }) => `${kind}/${id}`);
  return names.length > NAMED_MAX ? `${names.slice(0, NAMED_MAX).join(', ')} and ${names.length - NAMED_MAX} more` : names.join(', ');
}

const NAMED_MAX = 5;
