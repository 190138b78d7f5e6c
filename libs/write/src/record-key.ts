/** A record's key as text. */
import { digestOf } from './digest.ts';

/** A write's key has at most 97 characters. */
const KEY_LENGTH_MAX = 200;

/**
 * Empty where the record has none. A key longer than any write's can be is cut, and stays distinct by its hash: no
 * index of a database could hold all of it.
 */
export function recordKey(key: Buffer | null): string {
  const text = key?.toString('utf8') ?? '';
  return text.length <= KEY_LENGTH_MAX ? text : `${text.slice(0, KEY_LENGTH_MAX)}#${digestOf(text, '')}`;
}
