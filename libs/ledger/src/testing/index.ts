/** For tests only: it is not built. */
export * from './simulate.ts';
export * from './steps.ts';
