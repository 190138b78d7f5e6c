/** The saga-orchestrator: runs stream `sagas` through the slot processor, fires its timers, and serves operators. */
import { readAdminToken } from '@millrace/admin';
import { createLog, createRegistry, letHeapGrow, run } from '@millrace/runtime';
import { DRAIN_TIMEOUT_MS, onDrainWithin, openStreamService } from '@millrace/slot-processor';
import type { ShardId } from '@millrace/write';
import { startSagaApi } from './api/server.ts';
import { configOf } from './config.ts';
import { TIMERS_STOP_MS } from './limits.ts';
import { createSagaMetrics } from './metrics.ts';
import { sagasModel } from './model.ts';
import { watchStanding } from './standing.ts';
import { startTimers } from './timers/timers.ts';

letHeapGrow();
const config = configOf(process.env);
const log = createLog({ name: config.instance, level: config.logLevel });

await run({
  name: config.instance,
  log,
  drainTimeoutMs: DRAIN_TIMEOUT_MS,
  async start(life) {
    const token = readAdminToken(config.admin.tokenFile);
    const registry = createRegistry();
    const metrics = createSagaMetrics({ log, registry });
    const { processor, topology, shards, lanesOf } = await openStreamService({ life, log, config, model: sagasModel, sendsTo: ['writes'], registry, onCommitted: metrics.committed });
    const lanes = await lanesOf('sagas');
    await startSagaApi({ ...config, ...config.admin, life, log, token, topology, lanes });
    await processor.start();

    // A shard may apply slots before the topology names it.
    const shardIds = (): readonly ShardId[] => [...new Set([...topology.current().owners, ...shards.ids()])];
    const work = { shardIds, slotsOn: processor.slotsOn, database: shards.get, metrics };
    void watchStanding({ ...work, signal: life.signal }).catch(life.fail);
    const timers = startTimers({ ...work, lanes, log, onBug: life.fail });
    onDrainWithin(life, 'timers', TIMERS_STOP_MS, timers.stop);
  },
});
