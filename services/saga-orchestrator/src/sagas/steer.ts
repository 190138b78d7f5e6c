/** What an operator does to a saga: a record of its stream, whose outcome is waited for. */
import { randomUUID } from 'node:crypto';
import { Refused } from '@millrace/admin';
import { SAGA_CANCEL, SAGA_RETRY, type SagaRef } from '@millrace/domain';
import { KafkaUnavailable, LaneFull, LanesClosed, ProduceUnknown, type Lanes } from '@millrace/kafka';
import { sleep } from '@millrace/runtime';
import { encodeWrite, PROBLEMS, type ProblemCode } from '@millrace/wire';
import { digestOf, INTERNAL_KEY_PREFIX, type Digest } from '@millrace/write';
import { OUTCOME_LOOK_MS, OUTCOME_WAIT_MS } from '../limits.ts';
import { askEach, type AskInput } from './ask.ts';
import { findSaga } from './find.ts';
import { readOutcome, type Outcome } from './read.sql.ts';
import type { FoundSaga } from './summary.ts';

export type Steering = 'retry' | 'cancel';

export interface SteerInput extends AskInput {
  /** Of stream `sagas`. */
  readonly lanes: Pick<Lanes, 'send'>;
}

/** 'done' once it is applied; 'asked' where it is in the log and its outcome does not come in time. @throws Refused */
export async function steer(input: SteerInput, ref: SagaRef, { how, signal }: { readonly how: Steering; readonly signal: AbortSignal }): Promise<'done' | 'asked'> {
  const found = await findSaga(input, ref);
  const idempotencyKey = `${INTERNAL_KEY_PREFIX}operator/${how}/${randomUUID()}`;
  const order = how === 'retry' ? { type: SAGA_RETRY, data: { saga: ref.saga } } : { type: SAGA_CANCEL, data: { saga: ref.saga, by: 'operator' } };
  await input.lanes.send({ slot: found.row.slot, key: ref.key, value: encodeWrite({ ...order, idempotencyKey }) }).catch(refuseKafka);
  const outcome = await outcomeOf(input, { ref, found, digest: digestOf(ref.key, idempotencyKey), signal });
  if (outcome === undefined) return 'asked';
  if (outcome.outcome === 'applied') return 'done';
  const code = outcome.detail?.['code'] ?? 'unknown';
  throw new Refused(isProblem(code) ? code : 'saga_refused', `${ref.key}/${ref.saga}: ${code}`);
}

interface Asked {
  readonly ref: SagaRef;
  readonly found: FoundSaga;
  readonly digest: Digest;
  readonly signal: AbortSignal;
}

/** Asks where the saga was, and where it is found anew once that does not tell. */
async function outcomeOf(input: AskInput, { ref, found, digest, signal }: Asked): Promise<Outcome | undefined> {
  const { slot } = found.row;
  const endMs = performance.now() + OUTCOME_WAIT_MS;
  let { shard } = found;
  // A shard that does not answer, or a slot that is on its way, is asked for again.
  const stays = (error: unknown): Pick<FoundSaga, 'shard'> => {
    if (error instanceof Refused) return { shard };
    throw error;
  };
  for (let looks = 1; performance.now() < endMs; looks += 1) {
    await sleep(OUTCOME_LOOK_MS, signal);
    const { answers } = await askEach(input.shards, [shard], (_, database) => database.query<Outcome>(readOutcome({ slot, digest })));
    const outcome = answers.get(shard)?.[0];
    if (outcome) return outcome;
    if (looks % 10 === 0) shard = (await findSaga(input, ref).catch(stays)).shard;
  }
  return undefined;
}

function isProblem(code: string): code is ProblemCode {
  return Object.hasOwn(PROBLEMS, code);
}

function refuseKafka(error: unknown): never {
  if (error instanceof ProduceUnknown) throw new Refused('produce_unknown', 'asking again is safe: a saga takes it as often as it may');
  if (error instanceof KafkaUnavailable) throw new Refused('kafka_unavailable', error.message);
  if (error instanceof LaneFull) throw new Refused('too_many_requests', error.message);
  if (error instanceof LanesClosed) throw new Refused('draining', error.message);
  throw error;
}
