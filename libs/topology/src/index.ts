export * from './announcements.ts';
export * from './control.sql.ts';
export * from './follow.ts';
export * from './schema.ts';
export * from './shards.ts';
