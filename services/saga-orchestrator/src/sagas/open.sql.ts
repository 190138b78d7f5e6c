/** The condition of the index of open sagas, word for word: only so the planner takes it. */
import { OPEN_SAGA_STATES } from '@millrace/domain';

export const OPEN = `state in (${OPEN_SAGA_STATES.map((state) => `'${state}'`).join(', ')})`;
