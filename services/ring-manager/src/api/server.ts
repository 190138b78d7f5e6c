/** The admin API of a ring-manager. */
import { startAdmin as start, type AdminInput } from '@millrace/admin';
import { problemsOf } from './problems.ts';

const ABOUT = {
  title: 'Millrace ring-manager',
  description: 'Shards join, leave and change weight: see what a plan would move, start it, and watch its moves. Any ring-manager answers; the one that leads does the work.',
  problems: ['control_unavailable'],
} as const;

/** Serves until `close`. @throws the system's error where the port cannot be taken. */
export function startAdmin(input: Omit<AdminInput, 'about' | 'problemOf'>): ReturnType<typeof start> {
  return start({ ...input, about: ABOUT, problemOf: problemsOf(input.log) });
}
