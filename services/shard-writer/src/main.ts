/** The shard-writer: runs stream `writes` through the slot processor. */
import { createLog, letHeapGrow, run } from '@millrace/runtime';
import { DRAIN_TIMEOUT_MS, openStreamService } from '@millrace/slot-processor';
import { configOf } from './config.ts';
import { writesModel } from './model.ts';

letHeapGrow();
const config = configOf(process.env);
const log = createLog({ name: config.instance, level: config.logLevel });

await run({
  name: config.instance,
  log,
  drainTimeoutMs: DRAIN_TIMEOUT_MS,
  async start(life) {
    const { processor } = await openStreamService({ life, log, config, model: writesModel, sendsTo: ['sagas'] });
    await processor.start();
  },
});
