/** The file of API keys: `{"keys": [{"sha256": "<hex of the key>", "tenant": "demo"}]}`. It holds no key itself. */
import { readFileSync } from 'node:fs';
import { parseJson } from '@millrace/wire';
import { TENANT_PATTERN, type Tenant } from '@millrace/write';
import { z } from 'zod';

export interface ApiKey {
  /** 32 bytes. */
  readonly sha256: Buffer;
  readonly tenant: Tenant;
}

const SHA256_BYTES = 32;

const schema = z.strictObject({
  keys: z
    .array(
      z.strictObject({
        sha256: z.string().regex(/^[0-9a-fA-F]{64}$/, 'must be the 64 hex characters of a SHA-256'),
        tenant: z.string().regex(TENANT_PATTERN, 'must be a tenant: a-z, 0-9, - and _, at most 32'),
      }),
    )
    .min(1),
});

/** The keys of a file. @throws Error that says what to mend; it never quotes the file. */
export function readKeysFile(file: string, keysMax: number): readonly ApiKey[] {
  return parseKeys(readFileSync(file, 'utf8'), keysMax, file);
}

/** The keys of a file's text. @throws Error as above. */
export function parseKeys(text: string, keysMax: number, file = 'the keys file'): readonly ApiKey[] {
  const parsed = schema.safeParse(jsonOf(text, file));
  if (!parsed.success) throw new Error(`${file}: ${z.prettifyError(parsed.error)}`);
  const { keys } = parsed.data;
  if (keys.length > keysMax) throw new Error(`${file}: more than ${keysMax} keys`);
  const digests = new Set(keys.map(({ sha256 }) => sha256.toLowerCase()));
  if (digests.size < keys.length) throw new Error(`${file}: a key stands there twice`);
  return keys.map(({ sha256, tenant }) => ({ sha256: Buffer.from(sha256, 'hex').subarray(0, SHA256_BYTES), tenant: tenant as Tenant }));
}

function jsonOf(text: string, file: string): unknown {
  try {
    return parseJson(text);
  } catch (error) {
    // eslint-disable-next-line preserve-caught-error -- the parser's message quotes the text, which is nobody's to log
    if (error instanceof SyntaxError) throw new Error(`${file} is not JSON`);
    throw error;
  }
}
