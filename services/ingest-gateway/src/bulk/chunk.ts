/** Some lines of a bulk request, sent together and answered together, in their order. */
import type { Lanes } from '@millrace/kafka';
import type { Log } from '@millrace/runtime';
import { encodeReceipt, must, type Offset, type Tenant } from '@millrace/write';
import { Refusal, refusalBody } from '../http/answer.ts';
import type { RouteMetrics } from '../metrics.ts';
import { produceRefusal, type Admission } from '../write/admission.ts';
import type { PreparedWrite } from '../write/prepare.ts';
import { prepareLine } from './line.ts';
import type { Line } from './split.ts';

export interface ChunkOptions {
  readonly lanes: Pick<Lanes, 'sendMany'>;
  readonly admission: Admission;
  /** S. */
  readonly slots: number;
  readonly metrics: RouteMetrics;
  readonly log: Log;
}

/** The answers to the lines: NDJSON, one line a line. Resolves when Kafka holds what can be held; never rejects for the world's reasons. */
export async function answerChunk(tenant: Tenant, lines: readonly Line[], options: ChunkOptions): Promise<string> {
  const startedAtMs = performance.now();
  const prepared = lines.map((line) => prepareLine(tenant, line, options.slots));
  const writes = prepared.filter(isWrite);
  const sent = writes.length === 0 ? [] : await send(writes, options);
  if (!(sent instanceof Refusal) && sent.length > 0) {
    options.metrics.acked(performance.now() - startedAtMs);
    options.metrics.count('accepted', sent.length);
  }
  return answers(tenant, prepared, sent, options.metrics);
}

/** The answers to lines that are not sent: each says why. */
export function refuseLines(tenant: Tenant, lines: readonly Line[], refusal: Refusal, metrics: RouteMetrics): string {
  return answers(tenant, lines.map(() => refusal), [], metrics);
}

async function send(writes: readonly PreparedWrite[], { lanes, admission, log }: ChunkOptions): Promise<readonly Offset[] | Refusal> {
  const refusal = admission.refusesProduce();
  if (refusal) return refusal;
  try {
    return await lanes.sendMany(writes);
  } catch (error) {
    const unknown = produceRefusal(error);
    log.warn({ lines: writes.length, code: unknown.document.code, error }, 'a chunk of lines did not get through to Kafka');
    return unknown;
  }
}

function answers(tenant: Tenant, prepared: readonly (PreparedWrite | Refusal)[], sent: readonly Offset[] | Refusal, metrics: RouteMetrics): string {
  let text = '';
  let next = 0;
  for (const write of prepared) {
    const refusal = write instanceof Refusal ? write : sent instanceof Refusal ? sent : undefined;
    if (refusal) {
      metrics.refused(refusal);
      text += `{"error":${refusalBody(refusal)}}\n`;
    } else if (!(write instanceof Refusal) && !(sent instanceof Refusal)) {
      const offset = must(sent[next], 'every record that was sent has an offset');
      next += 1;
      text += `{"receipt":"${encodeReceipt(tenant, { slot: write.slot, offset, digest: write.digest })}"}\n`;
    }
  }
  return text;
}

function isWrite(write: PreparedWrite | Refusal): write is PreparedWrite {
  return !(write instanceof Refusal);
}
