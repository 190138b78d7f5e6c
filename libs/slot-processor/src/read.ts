/** A logged record becomes an entry. Pure and total: what cannot be read is poison with a reason, never an exception. */
import { slotOf } from '@millrace/ring';
import { isWireError, parseWrite, RELEASE_TYPE, type WriteEnvelope } from '@millrace/wire';
import { bodyHashOf, digestOf, tenantOf, type BodyHash, type RoutingKey } from '@millrace/write';
import { REASON_LENGTH_MAX } from './limits.ts';
import type { Entry, LoggedRecord, ReleaseAction, StreamModel } from './model.ts';

/** `slots` is S. */
export function readRecord(model: StreamModel, slots: number, record: LoggedRecord): Entry {
  const bodyHash = bodyHashOf(record.value ?? '');
  const envelope = parseWrite(record.value);
  // A release goes where its key is parked, also where that is the wrong slot or no key that a write could have.
  if (!isWireError(envelope) && envelope.type === RELEASE_TYPE) return readRelease(record, bodyHash, envelope);
  const tenant = tenantOf(record.key);
  if (tenant === undefined) return poison(record, bodyHash, 'the key is not `tenant/id`');
  if (slotOf(record.key, slots) !== record.slot) {
    return poison(record, bodyHash, "the key belongs to another slot: use Kafka's default partitioner");
  }
  if (isWireError(envelope)) return poison(record, bodyHash, envelope.reason);
  const command = model.command(envelope, { key: record.key as RoutingKey, tenant, atMs: record.atMs, offset: record.offset });
  if ('poison' in command) return poison(record, bodyHash, command.poison);
  return { kind: 'command', record, bodyHash, digest: digestOf(record.key, envelope.idempotencyKey), command };
}

function readRelease(record: LoggedRecord, bodyHash: BodyHash, { idempotencyKey, data }: WriteEnvelope): Entry {
  const action = actionOf(data);
  if (action === undefined) return poison(record, bodyHash, 'a release has `action` retry or skip');
  return { kind: 'release', record, bodyHash, digest: digestOf(record.key, idempotencyKey), action };
}

function actionOf(data: unknown): ReleaseAction | undefined {
  if (typeof data !== 'object' || data === null || !('action' in data)) return undefined;
  return data.action === 'retry' || data.action === 'skip' ? data.action : undefined;
}

function poison(record: LoggedRecord, bodyHash: BodyHash, reason: string): Entry {
  return { kind: 'poison', record, bodyHash, reason: reason.slice(0, REASON_LENGTH_MAX) };
}
