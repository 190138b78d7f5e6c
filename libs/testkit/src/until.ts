/** Waiting for a condition, never for a time. */
import { setTimeout as pause } from 'node:timers/promises';

const POLL_MS = 50;
const DEADLINE_MS = 120_000;

/** Resolves with the first truthy answer. @throws Error that names what was waited for, after two minutes or `deadlineMs`. */
export async function until<T>(what: string, condition: () => Promise<T> | T, { deadlineMs = DEADLINE_MS, pollMs = POLL_MS } = {}): Promise<NonNullable<T>> {
  const deadlineAtMs = Date.now() + deadlineMs;
  for (;;) {
    const answer = await condition();
    if (answer) return answer;
    if (Date.now() > deadlineAtMs) throw new Error(`waited ${deadlineMs} ms in vain for: ${what}`);
    await pause(pollMs);
  }
}
