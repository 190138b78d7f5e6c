export { startTestCluster, type Answer, type Load, type RunningLoad, type TestCluster } from './cluster.ts';
export { closeGate, installGates, type Gate, type GateSpec } from './gate.ts';
export { holdAt, releaseMoves, statesOf, type MoveEnds, type MoveStepName } from './move-steps.ts';
export { countSagas, startOrders, untilSagasEnded, type OrderLoad, type OrderReport, type SagaCount } from './orders.ts';
export { kafkaProduce, postgresCommit, startFaultProxy, type Direction, type FaultProxy, type LostReply } from './proxy.ts';
export { startReader, type Reader, type ReaderReport } from './reader.ts';
export { createRing, type Member, type Move, type Plan, type Ring, type RingAnswer } from './ring.ts';
export { until } from './until.ts';
export { startWriter, type WriterOptions } from './writer.ts';
