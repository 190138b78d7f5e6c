/**
 * The environment, read once.
 *
 * A service states its settings as one zod object whose keys are the names of the variables, and turns them into
 * its own typed object with `.transform`. All problems are reported together, by variable name and without values.
 */
import { z } from 'zod';

/** Everything that is wrong with the environment. The process cannot start; the operator mends the variables. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly code = 'config_invalid';
  readonly retryable = false;
  /** One line per problem: `NAME: what is wrong`. */
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`the environment is not usable:\n${problems.map((line) => `  ${line}`).join('\n')}`);
    this.problems = problems;
  }
}

/**
 * The settings of a process, deeply frozen. A variable that is set to nothing counts as not set.
 *
 * @throws ConfigError that lists every problem.
 */
export function readConfig<T>(schema: z.ZodType<T>, env: NodeJS.ProcessEnv): T {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''));
  const parsed = schema.safeParse(given);
  if (!parsed.success) throw new ConfigError(parsed.error.issues.map((issue) => problemLine(issue, given)));
  return deepFreeze(parsed.data);
}

/** Pieces that several services' schemas share. */
export const setting = {
  /** A TCP port; 0 asks the system for a free one. */
  port: () => wholeNumber(0, 65_535),
  /** A whole number within a range. */
  integer: wholeNumber,
  /** A text that is not empty. */
  text: () => z.string().min(1),
  /** `a,b,c`: at least one, blanks around the commas are dropped. */
  list: () =>
    z
      .string()
      .transform((text) => text.split(',').map((part) => part.trim()).filter((part) => part !== ''))
      .refine((parts) => parts.length > 0, 'expected a comma separated list'),
  /** `postgres://user:password@host:port/database`. */
  postgresUrl: () => z.url({ protocol: /^postgres(?:ql)?$/, error: 'expected postgres://user@host:port/database' }),
  logLevel: () => z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']),
} as const;

function wholeNumber(min: number, max: number): z.ZodType<number, string> {
  const wanted = `expected a whole number from ${min} to ${max}`;
  return z
    .string()
    .regex(/^-?\d{1,15}$/, wanted)
    .transform(Number)
    .refine((number) => number >= min && number <= max, wanted);
}

function problemLine(issue: z.core.$ZodIssue, given: Readonly<Record<string, unknown>>): string {
  const variable = issue.path[0];
  if (variable === undefined) return issue.message;
  return `${String(variable)}: ${Object.hasOwn(given, variable) ? issue.message : 'is not set'}`;
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  if (!Array.isArray(value) && Object.getPrototypeOf(value) !== Object.prototype) return value;
  Object.freeze(value);
  for (const part of Object.values(value)) deepFreeze(part);
  return value;
}
