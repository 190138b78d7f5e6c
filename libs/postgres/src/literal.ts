/** Literals for the one statement that takes no parameters: COPY. */
import pg from 'pg';

/** The text, quoted, for any setting of the server. The text must not hold NUL. */
export function sqlLiteral(text: string): string {
  return pg.escapeLiteral(text);
}

/** The name, quoted. */
export function sqlName(name: string): string {
  return pg.escapeIdentifier(name);
}
