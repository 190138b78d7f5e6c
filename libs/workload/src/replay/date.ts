/**
 * Invoice dates: `d/m/yyyy hh:mm`, `m/d/yyyy h:mm` (seconds optional) or ISO 8601. A day and a month that are both
 * at most 12 can be read both ways: the file decides, by its other dates.
 */
interface Reading {
  /** `yyyy-mm-dd` where the first number is the day, and where it is the month; absent where it cannot be. */
  readonly dayFirst: string | undefined;
  readonly monthFirst: string | undefined;
}

const SLASHED = /^(\d{1,2})\/(\d{1,2})\/(\d{4})(?:[ T](\d{1,2}):(\d{2})(?::(\d{2}))?)?$/;
const ISO = /^(\d{4})-(\d{2})-(\d{2})(?:[ T](\d{2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?$/;

/** The ways to read a date; undefined where there is none. */
export function readDate(text: string): Reading | undefined {
  const slashed = SLASHED.exec(text);
  const iso = slashed ? null : ISO.exec(text);
  const parts = slashed ?? iso;
  if (!parts || !isTime(parts[4], parts[5], parts[6])) return undefined;
  const [, a = '', b = '', c = ''] = parts;
  const dayFirst = slashed ? dateOf(c, b, a) : dateOf(a, b, c);
  const monthFirst = slashed ? dateOf(c, a, b) : dayFirst;
  return dayFirst ?? monthFirst ? { dayFirst, monthFirst } : undefined;
}

export interface Period {
  readonly from: string;
  readonly to: string;
}

/** Collects dates and tells the period that they cover. */
export interface Calendar {
  add(reading: Reading): void;
  /** By the reading that fits every date, the day first where both do; undefined without dates. */
  period(): Period | undefined;
}

export function createCalendar(): Calendar {
  const dayFirst = createSpan();
  const monthFirst = createSpan();
  return {
    add(reading) {
      dayFirst.add(reading.dayFirst);
      monthFirst.add(reading.monthFirst);
    },
    period: () => dayFirst.period() ?? monthFirst.period(),
  };
}

interface Span {
  add(day: string | undefined): void;
  period(): Period | undefined;
}

function createSpan(): Span {
  let fits = true;
  let from: string | undefined;
  let to: string | undefined;
  return {
    add(day) {
      if (day === undefined) {
        fits = false;
        return;
      }
      if (from === undefined || day < from) from = day;
      if (to === undefined || day > to) to = day;
    },
    period: () => (fits && from !== undefined && to !== undefined ? { from, to } : undefined),
  };
}

function dateOf(year: string, month: string, day: string): string | undefined {
  const text = `${year}-${month.padStart(2, '0')}-${day.padStart(2, '0')}`;
  const atMs = Date.parse(`${text}T00:00:00Z`);
  return !Number.isNaN(atMs) && new Date(atMs).toISOString().startsWith(text) ? text : undefined;
}

function isTime(hour = '0', minute = '0', second = '0'): boolean {
  return Number(hour) < 24 && Number(minute) < 60 && Number(second) < 60;
}
