export { type Command, type PoisonReason, type ReleaseAction, type StreamModel } from './model.ts';
export { listParked, releaseRecord, showParked, type ParkedKeySummary, type ParkedRecord } from './parked.ts';
export { examineShard, ForeignShard, prepareShard, seedSlots, WrongSchema, type ShardIdentity } from './prepare.ts';
export { createSlotProcessor, type SlotProcessor, type SlotProcessorInput } from './processor.ts';
export { type Publishers } from './relay.ts';
export { JOURNAL, PARKED, slotTables, type SlotTable } from './slot-tables.ts';
