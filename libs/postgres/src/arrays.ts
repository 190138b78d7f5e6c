/**
 * Arrays as Postgres reads them: `{a,b,c}`.
 *
 * pg builds the same from JavaScript arrays, element by element with an escape for each; a turn sends tens of
 * thousands of elements, most of which need none.
 */

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

/** Plain searches: several times as fast as one regular expression over the JSON that most of these are. */
function quoted(value: string): string {
  const slashed = value.includes('\\') ? value.replaceAll('\\', '\\\\') : value;
  return slashed.includes('"') ? `"${slashed.replaceAll('"', '\\"')}"` : `"${slashed}"`;
}
