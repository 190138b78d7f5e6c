/**
 * The log: JSON lines on standard output.
 *
 * Secrets are struck out of the finished line, so that no depth, error message or nested cause hides one:
 * values of keys that name a secret, bearer tokens, and passwords inside URLs.
 */
import { pino } from 'pino';
import type { DestinationStream, Level, Logger } from 'pino';

export type Log = Logger;
export type LogLevel = Level | 'silent';

export interface LogOptions {
  /** Who speaks: the service, or a part of it. */
  readonly name: string;
  readonly level: LogLevel;
  /** Where lines go; standard output by default. */
  readonly destination?: DestinationStream;
}

const SECRET_FIELD =
  /("[^"\\]{0,64}(?:authorization|password|passwd|secret|token|api_?-?key|cookie)[^"\\]{0,64}":)"(?:[^"\\]|\\.)*"/gi;
const BEARER = /\b(Bearer)\s+[^\s"\\,]+/gi;
/** `\\.`: what JSON escapes is part of the password, the quote that ends the string is not. */
const URL_PASSWORD = /(:\/\/[^:/\s"\\@]*):(?:\\.|[^/\s"\\])*@/g;
const URL_PASSWORD_PARAMETER = /([?&](?:password|sslpassword)=)[^&\s"]+/gi;

/** A log of its own; `log.child({ shard })` narrows it. Bigints (offsets) are written as decimal strings. */
export function createLog({ name, level, destination }: LogOptions): Log {
  const options = {
    name,
    level,
    base: { pid: process.pid },
    serializers: { error: pino.stdSerializers.err },
    formatters: { log: bigintsAsText },
    hooks: { streamWrite: withoutSecrets },
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}

/** The text with every secret struck out. */
export function withoutSecrets(line: string): string {
  return line
    .replace(SECRET_FIELD, '$1"[secret]"')
    .replace(BEARER, '$1 [secret]')
    .replace(URL_PASSWORD, '$1:[secret]@')
    .replace(URL_PASSWORD_PARAMETER, '$1[secret]');
}

function bigintsAsText(fields: Record<string, unknown>): Record<string, unknown> {
  const bigints = Object.entries(fields).filter(([, value]) => typeof value === 'bigint');
  if (bigints.length === 0) return fields;
  return { ...fields, ...Object.fromEntries(bigints.map(([field, value]) => [field, String(value)])) };
}
