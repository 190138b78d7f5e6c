/** The fields that bodies are made of, each checked by hand. */
import { DECIMAL_PATTERN, ID_PATTERN, isCurrency, parseAmount } from '@millrace/write';

export type Fields = Readonly<Record<string, unknown>>;

/** True where all required fields are there and no field is unknown. */
export function only(data: Fields, required: readonly string[], optional: readonly string[] = []): boolean {
  const names = Object.keys(data);
  return required.every((name) => names.includes(name)) && names.every((name) => required.includes(name) || optional.includes(name));
}

export function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function isId(value: unknown): value is string {
  return typeof value === 'string' && ID_PATTERN.test(value);
}

export function isCurrencyCode(value: unknown): value is string {
  return typeof value === 'string' && isCurrency(value);
}

export function positiveUnits(amount: unknown, currency: string): bigint | undefined {
  const units = typeof amount === 'string' ? parseAmount(amount, currency) : undefined;
  return units === 0n ? undefined : units;
}

/** An amount whose currency only the payment knows. */
export function isPositiveDecimal(value: unknown): value is string {
  return typeof value === 'string' && DECIMAL_PATTERN.test(value) && /[1-9]/.test(value);
}

export function isQuantity(value: unknown, max: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= max;
}

/** What Postgres can keep as text: no NUL, no half of a surrogate pair. */
export function isText(value: unknown, lengthMax: number): value is string {
  return typeof value === 'string' && value.length <= lengthMax && !value.includes('\0') && value.isWellFormed();
}

/** As long as a JSON number is exact. */
export function isWhole(value: unknown, min: number): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= min;
}

/** A list of at least one, each read; undefined where one of them does not read. */
export function readList<T>(value: unknown, lengthMax: number, read: (item: unknown) => T | undefined): readonly T[] | undefined {
  if (!Array.isArray(value) || value.length < 1 || value.length > lengthMax) return undefined;
  const items: T[] = [];
  for (const item of value as readonly unknown[]) {
    const one = read(item);
    if (one === undefined) return undefined;
    items.push(one);
  }
  return items;
}
