/** A write's status as clients read it. */
import { toJson } from '@millrace/wire';
import type { WriteStatus } from './outcomes.ts';

/** `code` stands beside the status of a refusal; `outcome` holds it again with its facts, as the journal does. */
export function statusJson(receipt: string, status: WriteStatus): string {
  if (status.status === 'accepted') return toJson({ receipt, status: 'accepted' });
  const at = new Date(Number(status.atMs)).toISOString();
  if (status.status === 'parked') return toJson({ receipt, status: 'parked', at, reason: status.reason });
  const { type, detail } = status;
  return toJson({ receipt, status: status.status, type, at, ...codeOf(detail), outcome: detail ?? {} });
}

function codeOf(detail: unknown): { readonly code?: unknown } {
  return typeof detail === 'object' && detail !== null && 'code' in detail ? { code: detail.code } : {};
}
