export { checkLedger, type LedgerInMemory } from './check.ts';
export type { OpenMove } from './moves.ts';
export type * from './snapshot.ts';
export { formatVerdict, KINDS, type Difference, type DifferenceKind, type Verdict } from './verdict.ts';
export { verifyLedger, type VerifyOptions, type VerifyProgress } from './verify.ts';
