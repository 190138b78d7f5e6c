/** One slot while it is checked: the folds of both streams over the models that they fill. */
import { isWireError, parseWrite } from '@millrace/wire';
import type { Digest, Stream } from '@millrace/write';
import { SlotFold, witnessOf, type Witness } from './fold.ts';
import type { Mail } from './mail.ts';
import { hashOfMessage, isCommand, isSent } from './message.ts';
import { createSlotModel, writesRules, type SlotModel } from './model.ts';
import { sagasRules, type SagaModel } from './saga-model.ts';
import type { LogEnds, LogRecord, StreamRows } from './snapshot.ts';

export type OfStreams<T> = Readonly<Record<Stream, T>>;

export interface SlotLedger {
  readonly slot: number;
  readonly folds: OfStreams<SlotFold>;
  readonly model: SlotModel;
  readonly sagas: SagaModel;
  /** Records of stream `writes` by which sagas ask their participants. */
  readonly commands: number;
  /** The offset behind the last record that was met, those above the end that is checked included. */
  readTo(stream: Stream): bigint;
  /** Takes the next record of the slot in a stream. */
  take(stream: Stream, record: LogRecord): void;
}

export interface SlotLedgerOptions {
  /** S. */
  readonly slots: number;
  readonly ends: OfStreams<LogEnds>;
  readonly positions: OfStreams<bigint>;
  readonly witness: OfStreams<Witness>;
  readonly acked: ReadonlyMap<bigint, Digest> | undefined;
  readonly mail: Mail;
}

export function openSlot({ slots, ends, positions, witness, acked, mail }: SlotLedgerOptions): SlotLedger {
  const { slot } = ends.writes;
  const model = createSlotModel();
  const sagas: SagaModel = new Map();
  /** Messages met in this slot: a relay may publish one again. */
  const met = new Set<string>();
  const readTo = { writes: ends.writes.low, sagas: ends.sagas.low };
  let commands = 0;
  const foldOf = (stream: Stream): SlotFold => {
    const rules = stream === 'writes' ? writesRules(model) : sagasRules(sagas);
    return new SlotFold({ slots, rules, ends: ends[stream], position: positions[stream], witness: witness[stream], acked: stream === 'writes' ? acked : undefined });
  };
  const folds = { writes: foldOf('writes'), sagas: foldOf('sagas') };

  function takeMessage(stream: Stream, record: LogRecord, isFolded: boolean): void {
    // Own idempotency keys begin with a character that JSON writes so.
    if (record.value?.includes(OWN_MARK) !== true) return;
    const envelope = parseWrite(record.value);
    if (isWireError(envelope) || !isSent(envelope)) return;
    if (isFolded && stream === 'writes' && isCommand(envelope.type)) commands += 1;
    const { type, idempotencyKey, data } = envelope;
    const hash = hashOfMessage({ stream, key: record.key?.toString('utf8') ?? '', type, idempotencyKey, data });
    if (met.size < met.add(hash).size) mail.received({ stream, slot, offset: record.offset }, hash);
  }

  return {
    slot,
    folds,
    model,
    sagas,
    get commands() {
      return commands;
    },
    readTo: (stream) => readTo[stream],
    take(stream, record) {
      readTo[stream] = record.offset + 1n;
      const before = folds[stream].records;
      folds[stream].take(record);
      takeMessage(stream, record, folds[stream].records > before);
    },
  };
}

/** What the shard says of parking in both streams. */
export function witnessesOf(streams: OfStreams<Pick<StreamRows, 'parked' | 'journal'>>): OfStreams<Witness> {
  return { writes: witnessOf(streams.writes), sagas: witnessOf(streams.sagas) };
}

const OWN_MARK = '\\u0001';
