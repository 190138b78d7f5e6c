export { startTestCluster, type Answer, type Load, type TestCluster } from './cluster.ts';
export { kafkaProduce, postgresCommit, startFaultProxy, type Direction, type FaultProxy, type LostReply } from './proxy.ts';
export { until } from './until.ts';
export { startWriter, type WriterOptions } from './writer.ts';
