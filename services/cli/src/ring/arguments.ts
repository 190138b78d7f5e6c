/** Arguments of the ring commands, checked before anything is asked. For commander. */
import { SHARD_ID_PATTERN } from '@millrace/write';
import { InvalidArgumentError, Option } from 'commander';

import { wholeNumber } from '../context.ts';
import type { MemberChange } from './admin-client.ts';

const WEIGHT_MAX = 1_000;
/** More than any cluster has; the ring-manager knows its own number. */
const SLOT_MAX = 4_095;

export function shardId(text: string): string {
  if (SHARD_ID_PATTERN.test(text)) return text;
  throw new InvalidArgumentError('Expected a shard id: 1 to 32 of a-z, 0-9 and -, not beginning with -.');
}

export function weight(text: string): number {
  const value = Number(text);
  if (/^\d{1,4}(\.\d{1,6})?$/.test(text) && value > 0 && value <= WEIGHT_MAX) return value;
  throw new InvalidArgumentError(`Expected a weight above 0, at most ${WEIGHT_MAX}: 2 gets twice the load of 1.`);
}

/** Of a plan or a move, as status shows it. */
export function numberOf(text: string): string {
  if (/^[1-9]\d{0,18}$/.test(text)) return text;
  throw new InvalidArgumentError('Expected a number such as 12: see `millrace ring status`.');
}

export const slot = wholeNumber(0, SLOT_MAX);

/** `c` or `c=2`, once or more often. */
export function joining(text: string, before: readonly MemberChange[] = []): readonly MemberChange[] {
  const [id = '', of, ...rest] = text.split('=');
  if (rest.length > 0) throw new InvalidArgumentError('Expected SHARD or SHARD=WEIGHT.');
  return [...before, of === undefined ? { shard: shardId(id) } : { shard: shardId(id), weight: weight(of) }];
}

/** `c=2`, once or more often. */
export function weighing(text: string, before: readonly MemberChange[] = []): readonly MemberChange[] {
  const [id = '', of = '', ...rest] = text.split('=');
  if (rest.length > 0 || of === '') throw new InvalidArgumentError('Expected SHARD=WEIGHT.');
  return [...before, { shard: shardId(id), weight: weight(of) }];
}

/** `c`, once or more often. */
export function draining(text: string, before: readonly MemberChange[] = []): readonly MemberChange[] {
  return [...before, { shard: shardId(text), state: 'draining' }];
}

export function byOption(): Option {
  return new Option('--by <load>', 'what is shared out evenly: the number of slots, their bytes, or the writes a second that they get now')
    .choices(['slots', 'bytes', 'rate'])
    .default('slots');
}

export function detachOption(): Option {
  return new Option('--detach', 'do not wait for the end; see `millrace ring status --watch`');
}

/** The first of these that nobody has: a, b, c, ... @throws InvalidArgumentError where all are taken. */
export function nextLetter(taken: readonly string[]): string {
  for (let code = 'a'.charCodeAt(0); code <= 'z'.charCodeAt(0); code += 1) {
    const letter = String.fromCharCode(code);
    if (!taken.includes(letter)) return letter;
  }
  throw new InvalidArgumentError('All letters are taken: name the new shard.');
}
