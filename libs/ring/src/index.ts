export * from './member.ts';
export * from './move/step.ts';
export { spread } from './place.ts';
export * from './plan.ts';
export * from './slot.ts';
export * from './topology.ts';
export * from './transition.ts';
