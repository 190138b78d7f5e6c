/**
 * Arrays as Postgres reads them: `{a,b,c}`.
 *
 * pg builds the same from JavaScript arrays, element by element with an escape for each; a turn sends tens of
 * thousands of elements, most of which need none.
 */

const NEEDS_ESCAPE = /["\\]/;

/** Numbers, uuids and the like: what holds no comma, brace, quote, backslash or blank, and is never null. */
export function plainArray(values: readonly (number | bigint | string)[]): string {
  return `{${values.join(',')}}`;
}

/** Text, with null where a value is null. */
export function textArray(values: readonly (string | null)[]): string {
  let array = '{';
  for (const value of values) array += `${array.length === 1 ? '' : ','}${value === null ? 'null' : quoted(value)}`;
  return `${array}}`;
}

function quoted(value: string): string {
  return NEEDS_ESCAPE.test(value) ? `"${value.replace(/["\\]/g, '\\$&')}"` : `"${value}"`;
}
