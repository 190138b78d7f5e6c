/** The saga-orchestrator: runs stream `sagas` through the slot processor. */
import { createLog, run } from '@millrace/runtime';
import { DRAIN_TIMEOUT_MS, openStreamService } from '@millrace/slot-processor';
import { configOf } from './config.ts';
import { sagasModel } from './model.ts';

const config = configOf(process.env);
const log = createLog({ name: config.instance, level: config.logLevel });

await run({
  name: config.instance,
  log,
  drainTimeoutMs: DRAIN_TIMEOUT_MS,
  async start(life) {
    const { processor } = await openStreamService({ life, log, config, model: sagasModel, sendsTo: ['writes'] });
    await processor.start();
  },
});
