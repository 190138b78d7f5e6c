import { createLog, letHeapGrow, run } from '@millrace/runtime';
import { readGatewayConfig } from './config.ts';
import { startGateway } from './gateway.ts';
import { limits } from './limits.ts';

letHeapGrow();
const config = readGatewayConfig(process.env);
const log = createLog({ name: config.instance, level: config.logLevel });

await run({
  name: config.instance,
  log,
  drainTimeoutMs: limits.drainTimeoutMs,
  start: async (life) => void (await startGateway({ config, log, life })),
});
