/** The saga rows of a shard in memory, for tests: records are parsed, folded and stored one by one. */
import { saga as sagaTable, type At, type Decision, type Message, type Rows, type SagaRow, type Table } from '@millrace/domain';
import { assert, must, tenantOf, type Offset, type RoutingKey } from '@millrace/write';
import { sagaRecordTypes } from '../records.ts';
import { sagaOf } from '../row.ts';
import type { Saga } from '../saga.ts';
import { START_MS } from './data.ts';

export interface Desk {
  /** @throws where the schema refuses the data, or the fold gets or changes a row that its reads do not name. */
  record(type: string, data: object): Decision;
  /** Time goes by, for the log too. */
  pass(ms: number): void;
  /** Answers every command of a decision: `done`. Gives the decision on the last answer. */
  answerAll(decision: Decision): Decision;
  saga(name: string): Saga | undefined;
}

export function createDesk(key = 'demo/ord-1'): Desk {
  const rows = new Map<string, SagaRow>();
  let offset = 0n;
  let passedMs = 0;

  function record(type: string, unparsed: object): Decision {
    const recordType = must(sagaRecordTypes.get(type), `there is a record type ${type}`);
    const data = recordType.schema.parse(unparsed);
    const at: At = { key: key as RoutingKey, tenant: must(tenantOf(key), 'a key has a tenant'), atMs: START_MS + passedMs + Number(offset), offset: offset++ as Offset };
    const readable = new Set(recordType.reads(at, data).map((ref) => ref.key.join(' ')));
    const named = (name: string) => assert(readable.has(name), `${type} touches ${name}, which its reads do not name`);
    const view: Rows = {
      get<R>(table: Table<R>, of: readonly string[]) {
        assert(table.name === sagaTable.name, 'W7: the stream has one table');
        named(of.join(' '));
        return rows.get(of.join(' ')) as R | undefined;
      },
    };
    const decision = recordType.apply(view, at, data);
    if (decision.outcome === 'refused') return decision;
    for (const { row } of decision.changes) {
      const name = `${row['key'] as string} ${row['saga'] as string}`;
      named(name);
      rows.set(name, row as SagaRow);
    }
    return decision;
  }

  return {
    record,
    pass(ms) {
      passedMs += ms;
    },
    answerAll({ messages = [] }) {
      const last = messages.map((command) => record('saga.reply', replyOf(command))).at(-1);
      return must(last, 'somebody was asked');
    },
    saga(name) {
      const row = rows.get(`${key} ${name}`);
      return row && sagaOf(row);
    },
  };
}

/** What a participant answers that has done what it was asked. */
export function replyOf({ type, data }: Message): object {
  const { saga, account, sku } = data as { readonly saga: string; readonly account?: string; readonly sku?: string };
  const [kind, phase] = type.split('.');
  return { saga: saga.split('/').slice(2).join('/'), kind, id: account ?? sku, phase, done: true };
}
