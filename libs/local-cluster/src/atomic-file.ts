/** Files that a reader finds whole or not at all. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';

import { parseJson, toJson } from '@millrace/wire';
import type { z } from 'zod';

import { isErrno } from './proc.ts';

/** Only the owner may read it: most of these files hold a password or a key. */
const PRIVATE = 0o600;

/** What is in the file is not of this shape: cut off, or written by another version. */
export class FileDamaged extends Error {
  override readonly name = 'FileDamaged';
  readonly code = 'file_damaged';
  readonly retryable = false;

  constructor(file: string, options: ErrorOptions) {
    super(`${file} is damaged or of another version; remove it, or start with --fresh`, options);
  }
}

export function writeWhole(file: string, text: string): void {
  const draft = `${file}.${process.pid}.part`;
  writeFileSync(draft, text, { mode: PRIVATE });
  renameSync(draft, file);
}

export function writeJson(file: string, value: unknown): void {
  writeWhole(file, `${toJson(value, 2)}\n`);
}

/** The file's value; undefined where there is no file. @throws FileDamaged */
export function readJson<T>(file: string, schema: z.ZodType<T>): T | undefined {
  const text = readText(file);
  if (text === undefined) return undefined;
  try {
    return schema.parse(parseJson(text));
  } catch (cause) {
    throw new FileDamaged(file, { cause });
  }
}

export function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}
