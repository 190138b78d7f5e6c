/** How the admin API changes the control database: one change at a time, each with its line in the audit log. */
import type { Database, Tx } from '@millrace/postgres';
import { toJson } from '@millrace/wire';

/** Callers of the admin API share one token: who they are is not known. */
export const ADMIN = 'admin';

/**
 * A transaction that no other change, and no new epoch, comes between: members, newest topology and open moves stay as
 * they are read here. Whoever needs the lease's row too takes that one first.
 */
export function changing<T>(control: Database, work: (tx: Tx) => Promise<T>): Promise<T> {
  return control.transaction(async (tx) => {
    await lockChanges(tx);
    return work(tx);
  });
}

export async function lockChanges(tx: Tx): Promise<void> {
  await tx.query({ name: 'change-lock', text: 'select 1 from cluster for update' });
}

export interface AuditLine {
  readonly actor: string;
  /** `shard.add`, `plan.start`, ... */
  readonly action: string;
  /** What it was done to: `shard c`, `plan 7`, `move 12`. */
  readonly subject: string;
  readonly detail?: Readonly<Record<string, unknown>>;
}

export async function audit(tx: Pick<Tx, 'query'>, { actor, action, subject, detail }: AuditLine): Promise<void> {
  await tx.query({
    name: 'audit',
    text: 'insert into audit (actor, action, subject, detail) values ($1, $2, $3, $4)',
    values: [actor, action, subject, detail === undefined ? null : toJson(detail)],
  });
}

export interface AuditEntry extends AuditLine {
  readonly id: bigint;
  readonly at: Date;
}

/** The newest entries, newest first. */
export function listAudit(control: Pick<Tx, 'query'>, limit: number): Promise<readonly AuditEntry[]> {
  return control.query({ name: 'audit-list', text: 'select id, at, actor, action, subject, detail from audit order by id desc limit $1', values: [limit] });
}
