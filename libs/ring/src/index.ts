export * from './place.ts';
export * from './slot.ts';
export * from './topology.ts';
