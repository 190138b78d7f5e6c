export { type Command, type PoisonReason, type ReleaseAction, type StreamModel } from './model.ts';
export { listParked, releaseRecord, showParked, type ParkedKeySummary, type ParkedRecord } from './parked.ts';
export { examineShard, ForeignShard, prepareShard, seedSlots, WrongSchema, type ShardIdentity } from './prepare.ts';
export type { OnCommitted } from './lane.ts';
export { createSlotProcessor, type SlotProcessor, type SlotProcessorInput } from './processor.ts';
export { type Publishers } from './relay.ts';
export { DRAIN_TIMEOUT_MS, SHARD_POOL } from './service-limits.ts';
export { openStreamService, type StreamService, type StreamServiceConfig } from './stream-service.ts';
export { JOURNAL, PARKED, slotTables, type SlotTable } from './slot-tables.ts';
