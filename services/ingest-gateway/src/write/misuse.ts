/**
 * Whether a key is misused for sure: the write that is remembered under it is the first, so that another body is none.
 *
 * What the memory holds may itself be the misuse, of a write that came in by another way. So the shard is asked; where
 * it does not know yet, or does not answer, nothing is sure and the new write goes to Kafka, in whose order the shard
 * decides (W6).
 */
import type { Log } from '@millrace/runtime';
import type { Receipt, Tenant } from '@millrace/write';
import { Refusal } from '../http/answer.ts';
import type { Outcomes, WriteStatus } from '../read/outcomes.ts';

/** Outcomes of writes that may not have taken their key. */
const NOT_FIRST = new Set<unknown>(['idempotency_mismatch', 'skipped_by_operator']);

/** True where the journal has the remembered write, or the one that it repeats, as the first under its key. Never rejects. */
export async function isFirstOfItsKey(tenant: Tenant, remembered: Receipt, { outcomes, log }: { readonly outcomes: Pick<Outcomes, 'now'>; readonly log: Log }): Promise<boolean> {
  try {
    return tookItsKey(await outcomes.now(tenant, remembered));
  } catch (error) {
    if (!(error instanceof Refusal)) log.error({ slot: remembered.slot, offset: remembered.offset, error }, 'the outcome of a remembered write could not be read');
    return false;
  }
}

function tookItsKey(status: WriteStatus): boolean {
  if (status.status === 'applied') return true;
  return status.status === 'refused' && !NOT_FIRST.has(codeOf(status.detail));
}

function codeOf(detail: unknown): unknown {
  return typeof detail === 'object' && detail !== null && 'code' in detail ? detail.code : undefined;
}
