/** Status questions to one shard, gathered: one query is under way, the next takes whatever waits by then. */
import type { Database } from '@millrace/postgres';
import { must, type Receipt, type ShardId } from '@millrace/write';
import { readStatuses, type StatusRow } from './statuses.sql.ts';

export interface StatusBatches {
  /** What the shard knows of the receipt. @throws PgError where it does not answer. */
  read(shard: Database, id: ShardId, receipt: Receipt): Promise<StatusRow>;
}

interface Question {
  readonly receipt: Receipt;
  resolve(row: StatusRow): void;
  reject(error: unknown): void;
}

/** At most `batchMax` receipts in one query. */
export function createStatusBatches(batchMax: number): StatusBatches {
  const waitingByShard = new Map<ShardId, Question[]>();

  async function work(shard: Database, id: ShardId, waiting: Question[]): Promise<void> {
    while (waiting.length > 0) {
      const batch = waiting.splice(0, batchMax);
      try {
        const rows = await readStatuses(shard, batch.map(({ receipt }) => receipt));
        for (const row of rows) must(batch[Number(row.n) - 1], 'a status row answers a question').resolve(row);
      } catch (error) {
        for (const question of batch) question.reject(error);
      }
    }
    waitingByShard.delete(id);
  }

  function read(shard: Database, id: ShardId, receipt: Receipt): Promise<StatusRow> {
    return new Promise((resolve, reject) => {
      const waiting = waitingByShard.get(id);
      if (waiting) {
        waiting.push({ receipt, resolve, reject });
        return;
      }
      const first = [{ receipt, resolve, reject }];
      waitingByShard.set(id, first);
      // In the next turn, so that what is asked in this one goes along.
      setImmediate(() => void work(shard, id, first));
    });
  }

  return { read };
}
