export type { Begun, SagaDefinition } from './definition.ts';
export { sagaDefinitions, sagaRecordTypes, type SagaRecordType } from './records.ts';
export { rowOf, sagaOf } from './row.ts';
export { isOpen, nameOfPart, type LineClaim, type OpenSaga, type Part, type Saga, type SagaKind, type Stage } from './saga.ts';
export { begin, partsOf, PHASES, step, type Order, type SagaEvent, type Step } from './step.ts';
