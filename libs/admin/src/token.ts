/** The token of an admin API, from a file: it stands in no environment. */
import { readFileSync } from 'node:fs';
import { assert } from '@millrace/write';
import { TOKEN_LENGTH_MIN } from './limits.ts';

/** @throws AssertionFailed where the token is too short, and the system's error where the file cannot be read. */
export function readAdminToken(file: string): string {
  const token = readFileSync(file, 'utf8').trim();
  assert(token.length >= TOKEN_LENGTH_MIN, `ADMIN_TOKEN_FILE holds at least ${TOKEN_LENGTH_MIN} characters`);
  return token;
}
