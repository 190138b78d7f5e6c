/** How column values arrive: int8 as bigint; everything else as pg has it (uuid as text, jsonb parsed). */
import pg from 'pg';
import type { CustomTypesConfig } from 'pg';

const INT8 = 20;
const INT8_ARRAY = 1016;

const parsers: ReadonlyMap<number, (text: string) => unknown> = new Map<number, (text: string) => unknown>([
  [INT8, (text) => BigInt(text)],
  [INT8_ARRAY, parseInt8Array],
]);

/** Given to each pool, so that no other user of pg in the process is affected. */
export const columnTypes: CustomTypesConfig = {
  getTypeParser: ((oid: number, format: 'text' | 'binary' = 'text'): unknown => {
    const parser = format === 'text' ? parsers.get(oid) : undefined;
    return parser ?? pg.types.getTypeParser(oid, format);
  }) as CustomTypesConfig['getTypeParser'],
};

/** `{1,NULL,3}`; of one dimension, as all of ours. */
function parseInt8Array(text: string): (bigint | null)[] {
  const inner = text.slice(1, -1);
  return inner === '' ? [] : inner.split(',').map((item) => (item === 'NULL' ? null : BigInt(item)));
}
