/**
 * The lease: which ring-manager leads. Time is the control database's.
 *
 * R5 its token rises with every holder. A leader's write is in a transaction that locks the lease's row and finds its
 * own token there: whoever takes over waits for that transaction, or is seen by it.
 */
import type { Database, Tx } from '@millrace/postgres';
import { Superseded } from '../move/types.ts';

export interface Lease {
  readonly holder: string;
  readonly token: bigint;
  readonly expiresAt: Date;
}

/** Takes the lease where nobody has it. The token of the new term, or undefined. */
export async function acquireLease(lease: Database, { holder, ttlMs }: { readonly holder: string; readonly ttlMs: number }): Promise<bigint | undefined> {
  const rows = await lease.query<{ token: bigint }>({
    name: 'lease-acquire',
    text: `insert into lease (holder, token, expires_at)
           values ($1, 1, clock_timestamp() + make_interval(secs => $2::float8 / 1000))
           on conflict (only_row) do update
             set holder = excluded.holder, token = lease.token + 1, expires_at = clock_timestamp() + make_interval(secs => $2::float8 / 1000)
             where lease.expires_at <= clock_timestamp()
           returning token`,
    values: [holder, ttlMs],
  });
  return rows[0]?.token;
}

/** False where the term is over. A lease that ran out is not renewed: another may have looked at it meanwhile. */
export async function renewLease(lease: Database, { token, ttlMs }: { readonly token: bigint; readonly ttlMs: number }): Promise<boolean> {
  const rows = await lease.query({
    name: 'lease-renew',
    text: `update lease set expires_at = clock_timestamp() + make_interval(secs => $2::float8 / 1000)
           where token = $1 and expires_at > clock_timestamp()
           returning token`,
    values: [token, ttlMs],
  });
  return rows.length === 1;
}

/** Lets the next one lead at once. */
export async function releaseLease(lease: Database, token: bigint): Promise<void> {
  await lease.query({ name: 'lease-release', text: 'update lease set expires_at = clock_timestamp() where token = $1 and expires_at > clock_timestamp()', values: [token] });
}

export async function readLease(control: Database): Promise<Lease | undefined> {
  const rows = await control.query<Lease>({ name: 'lease-read', text: 'select holder, token, expires_at as "expiresAt" from lease where expires_at > clock_timestamp()' });
  return rows[0];
}

/** A transaction of the leader. @throws Superseded, with nothing written, where the token does not lead any more (R5). */
export function underLease<T>(control: Database, token: bigint, work: (tx: Tx) => Promise<T>): Promise<T> {
  return control.transaction(async (tx) => {
    const rows = await tx.query({ name: 'lease-hold', text: 'select 1 from lease where token = $1 and expires_at > clock_timestamp() for update', values: [token] });
    if (rows.length === 0) throw new Superseded(`token ${token} does not hold the lease`);
    return work(tx);
  });
}
