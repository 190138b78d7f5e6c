export * from './json.ts';
export * from './outcome.ts';
export * from './problem.ts';
export * from './topics.ts';
export * from './topology.ts';
export * from './write.ts';
