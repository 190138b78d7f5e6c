/** The only place where JSON is read or written, so that bigint and the rules of trust have one home. */

/** @throws SyntaxError for what is not JSON. The result is untrusted: validate it by a schema. */
export function parseJson(text: string | Buffer): unknown {
  return JSON.parse(typeof text === 'string' ? text : text.toString('utf8')) as unknown;
}

/** JSON with bigint as decimal strings, because numbers above 2^53 do not survive most readers. */
export function toJson(value: unknown, indent = 0): string {
  try {
    // Several times as fast as with a replacer, and most values hold no bigint.
    return JSON.stringify(value, undefined, indent);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return JSON.stringify(value, bigintAsText, indent);
  }
}

function bigintAsText(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}
