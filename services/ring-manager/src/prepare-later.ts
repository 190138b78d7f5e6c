/** Members that did not answer at the start are prepared as soon as they do. */
import { retry, type Log } from '@millrace/runtime';
import type { Cluster, Shards } from '@millrace/topology';
import type { Database } from '@millrace/postgres';
import type { ShardId } from '@millrace/write';
import { listMembers } from './control/members.sql.ts';
import { prepareMember } from './establish.ts';
import { ESTABLISH_RETRY } from './limits.ts';

export interface PrepareLaterInput {
  readonly control: Database;
  readonly shards: Shards;
  readonly cluster: Cluster;
  readonly missing: readonly ShardId[];
  readonly signal: AbortSignal;
  readonly log: Log;
}

/** Resolves when each is prepared, is no member any more, or the signal aborts. */
export async function prepareLater(input: PrepareLaterInput): Promise<void> {
  const { control, signal, log } = input;
  await Promise.all(
    input.missing.map(async (shard) => {
      await retry(
        async () => {
          if (!(await listMembers(control)).some((member) => member.shard === shard)) return;
          await prepareMember(input, { cluster: input.cluster, shard });
          log.info({ shard }, 'the member answers; it is prepared');
        },
        // A wrong address is mended in the shards file while this goes on.
        { ...ESTABLISH_RETRY, signal, retryable: () => true, onRetry: ({ attempt, error }) => attempt % 10 === 0 && log.warn({ shard, reason: String(error) }, 'a member is not prepared yet') },
      ).catch((error: unknown) => {
        if (!signal.aborted) throw error;
      });
    }),
  );
}
