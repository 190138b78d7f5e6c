/** Ids from the texts of an invoice file: the same text gives the same id, different texts different ids. */
import { ID_LENGTH_MAX } from '@millrace/write';
import { hash } from 'node:crypto';

/** What an id of a file may hold as it is; `%` and `~` are kept for what is made here. */
const PLAIN = /^[!-$&-.0-}]$/;
const HASH_CHARS = 16;

/** Lines without a customer are real sales, over the counter: they belong to this account. */
export const GUEST = 'guest';

/** The text where it is an id; otherwise with other characters as %XX of their UTF-8, and cut to length with a hash. */
export function idOf(text: string): string {
  const id = [...text].map(escape).join('');
  if (id.length <= ID_LENGTH_MAX) return id;
  return `${id.slice(0, ID_LENGTH_MAX - HASH_CHARS - 1)}~${hash('sha256', text, 'hex').slice(0, HASH_CHARS)}`;
}

/** The account of a customer: `17850` also where a spreadsheet made it `17850.0`. */
export function accountOf(customer: string): string {
  return customer === '' ? GUEST : idOf(customer.replace(/^(\d+)\.0$/, '$1'));
}

/** The order of an invoice's part: `536365`, then `536365~2`. */
export function orderOf(invoice: string, part: number): string {
  if (part === 1) return idOf(invoice);
  const suffix = `~${part}`;
  const id = idOf(invoice);
  if (id.length + suffix.length <= ID_LENGTH_MAX) return id + suffix;
  return `${id.slice(0, ID_LENGTH_MAX - HASH_CHARS - 1)}~${hash('sha256', invoice + suffix, 'hex').slice(0, HASH_CHARS)}`;
}

function escape(character: string): string {
  if (PLAIN.test(character)) return character;
  return Buffer.from(character, 'utf8').toString('hex').toUpperCase().replace(/../g, '%$&');
}
