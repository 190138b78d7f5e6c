/**
 * A gate: whoever is about to write a certain row waits there, inside the database, until the test opens it.
 *
 * So a process can be held at a step that takes microseconds, though its code knows no failpoints. Gates are in triggers of
 * the test's; that one is closed is a row, so it stays closed over a crash of the server.
 */
import { randomInt } from 'node:crypto';
import { PgError, sqlName, type Database } from '@millrace/postgres';
import { assert } from '@millrace/write';
import { until } from './until.ts';

export interface GateSpec {
  readonly on: 'insert' | 'update' | 'delete';
  readonly table: string;
  /** A condition on `new` and `old`, the row after and before. */
  readonly when: string;
}

export interface Gate {
  /** Resolves when a session waits at it. */
  reached(): Promise<void>;
  /** Ends the sessions that wait at it; how many. */
  cut(): Promise<number>;
  /** Lets everyone pass from now on. */
  open(): Promise<void>;
}

const DEADLINE_MS = 240_000;
/** Steps are short. */
const POLL_MS = 10;
const KEYS = 2 ** 31;

/** Tables of a database where gates may be. Install them before anyone waits at one: a trigger is not made beside a write. */
export async function installGates(database: Database, places: readonly Omit<GateSpec, 'when'>[]): Promise<void> {
  await database.transaction(async (tx) => {
    await tx.query({ text: `create table if not exists test_gate (key bigint primary key, "table" text not null, op text not null, condition text not null)` });
    await tx.query({ text: FUNCTION });
    for (const { on, table } of places) await tx.query({ text: `create or replace trigger test_gate_${on} before ${on} on ${sqlName(table)} for each row execute function test_gate_wait()` });
  });
}

/** Until it opens, every session that does this waits there. Transactions that see one snapshot all along would never pass. */
export async function closeGate(database: Database, { on, table, when }: GateSpec): Promise<Gate> {
  const key = randomInt(KEYS);
  await database.query({ text: `insert into test_gate (key, "table", op, condition) values ($1, $2, upper($3), $4)`, values: [key, table, on, when] });

  const waiting = async (): Promise<readonly number[]> => {
    const rows = await database.query<{ pid: number }>({
      text: `select pid from pg_locks where locktype = 'advisory' and objsubid = 1 and classid = 0 and objid = ${key}::oid and exists (select from test_gate where key = ${key})`,
    });
    return rows.map(({ pid }) => pid);
  };

  return {
    reached: async () => void (await until(`someone waits before the ${on} of ${table} where ${when}`, () => untilUp(waiting).then((pids) => pids && pids.length > 0), { deadlineMs: DEADLINE_MS, pollMs: POLL_MS })),
    async cut() {
      const pids = (await untilUp(waiting)) ?? [];
      assert(pids.length < 10, 'few sessions do the same step');
      for (const pid of pids) await untilUp(() => database.query({ text: 'select pg_terminate_backend($1)', values: [pid] }));
      return pids.length;
    },
    open: async () => void (await until(`${database.name} answers, to open a gate`, () => untilUp(() => database.query({ text: `delete from test_gate where key = ${key}` })), { deadlineMs: DEADLINE_MS })),
  };
}

/** Undefined while the server is down. */
async function untilUp<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof PgError && error.kind !== 'bug' && error.kind !== 'data') return undefined;
    throw error;
  }
}

/** Who waits holds a shared lock for the test to see. Each look is a statement of its own, so it sees the gate open. */
const FUNCTION = `
  create or replace function test_gate_wait() returns trigger language plpgsql security definer as $$
  declare
    gate record;
    stops boolean;
  begin
    for gate in select key, condition from test_gate where "table" = tg_table_name and op = tg_op loop
      case tg_op
        when 'INSERT' then execute format('select %s from (select ($1).*) as new', gate.condition) into stops using new;
        when 'DELETE' then execute format('select %s from (select ($1).*) as old', gate.condition) into stops using old;
        else execute format('select %s from (select ($1).*) as new, (select ($2).*) as old', gate.condition) into stops using new, old;
      end case;
      continue when stops is not true;
      perform pg_advisory_xact_lock_shared(gate.key);
      while exists (select from test_gate where key = gate.key) loop
        perform pg_sleep(0.005);
      end loop;
    end loop;
    if tg_op = 'DELETE' then
      return old;
    end if;
    return new;
  end $$`;
