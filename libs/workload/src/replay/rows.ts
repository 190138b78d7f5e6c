/** Streams the rows of an invoice file, each as a line of an invoice or as a row that cannot be used. */
import { type CsvError, parse } from 'csv-parse';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream';
import { CSV_RECORD_CHARS_MAX, LINE_MINOR_UNITS_MAX, LINE_QUANTITY_MAX } from '../limits.ts';
import { readDate } from './date.ts';
import { type Header, InvoiceFileError, parseHeader } from './header.ts';
import { minorUnitsOf, parsePrice } from './money.ts';
import type { UnusableReason } from './reasons.ts';

/** A row, whatever it is good for. */
export interface Row {
  /** The line of the file on which the row ends, from 1; the header is line 1. */
  readonly line: number;
  readonly invoice: string;
  readonly customer: string;
  readonly sku: string;
  readonly isCancellation: boolean;
  /** Negative in a cancellation; 0 where it is unreadable. */
  readonly quantity: number;
  /** Quantity x unit price in millionths, 0 where one of them is unreadable. */
  readonly micros: bigint;
  readonly unitMinorUnits: bigint;
  readonly date: ReturnType<typeof readDate>;
  readonly unusable: UnusableReason | undefined;
}

const HEADER_BYTES_MAX = 64 * 1024;
const QUANTITY_PATTERN = /^-?\d{1,15}(?:\.0+)?$/;
const CANCELLATION = /^C\d/i;
const ACCOUNTS_ENTRY = /^A\d/i;

interface Parsed {
  readonly record: readonly string[];
  readonly info: { readonly lines: number };
}

/** The rows in the order of the file. @throws InvoiceFileError for a file that is none. */
export async function* readRows(file: string): AsyncGenerator<Row, void, undefined> {
  const header = parseHeader(await firstLineOf(file));
  const parser = parse({
    bom: true,
    delimiter: header.delimiter,
    from_line: 2,
    info: true,
    max_record_size: CSV_RECORD_CHARS_MAX,
    relax_column_count: true,
    relax_quotes: true,
    skip_empty_lines: true,
    trim: true,
  });
  // The iteration below meets every error of both streams: pipeline hands them to the parser.
  pipeline(createReadStream(file), parser, () => undefined);
  try {
    for await (const parsed of parser as AsyncIterable<Parsed>) yield rowOf(parsed, header);
  } catch (error) {
    throw isCsvError(error) ? new InvoiceFileError(Number(error.lines ?? 0), error.message, { cause: error }) : error;
  }
}

async function firstLineOf(file: string): Promise<string> {
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(HEADER_BYTES_MAX), 0, HEADER_BYTES_MAX, 0);
    return buffer.toString('utf8', 0, bytesRead).split('\n', 1)[0] ?? '';
  } finally {
    await handle.close();
  }
}

function rowOf({ record, info }: Parsed, { index, width }: Header): Row {
  const field = (position: number): string => record[position] ?? '';
  const invoice = field(index.InvoiceNo);
  const quantityText = field(index.Quantity);
  const quantity = QUANTITY_PATTERN.test(quantityText) ? Number(quantityText) : undefined;
  const price = parsePrice(field(index.UnitPrice));
  const read = {
    line: info.lines,
    invoice,
    customer: field(index.CustomerID),
    sku: field(index.StockCode),
    isCancellation: CANCELLATION.test(invoice),
    quantity: quantity ?? 0,
    micros: BigInt(quantity ?? 0) * (price ?? 0n),
    unitMinorUnits: (price === undefined ? undefined : minorUnitsOf(price)) ?? 0n,
    date: readDate(field(index.InvoiceDate)),
  };
  const unusable = record.length === width ? reasonAgainst({ ...read, quantityRead: quantity, price }) : 'wrong_fields';
  return { ...read, unusable };
}

type Read = Omit<Row, 'unusable'> & { readonly quantityRead: number | undefined; readonly price: bigint | undefined };

/** Why a row cannot be used; the first reason counts. */
function reasonAgainst(row: Read): UnusableReason | undefined {
  const { quantityRead: quantity, price } = row;
  if (row.invoice === '') return 'no_invoice';
  if (row.sku === '') return 'no_stock_code';
  if (quantity === undefined) return 'bad_quantity';
  if (price === undefined) return 'bad_price';
  if (row.date === undefined) return 'bad_date';
  if (ACCOUNTS_ENTRY.test(row.invoice)) return 'accounts_entry';
  if (quantity === 0) return 'zero_quantity';
  if (price < 0n) return 'negative_price';
  if (quantity < 0 && !row.isCancellation) return 'negative_without_cancellation';
  if (price === 0n) return 'zero_price';
  if (quantity > 0 && row.isCancellation) return 'positive_in_cancellation';
  if (minorUnitsOf(price) === undefined) return 'price_too_precise';
  return isInRange(quantity, row.unitMinorUnits) ? undefined : 'out_of_range';
}

function isInRange(quantity: number, unitMinorUnits: bigint): boolean {
  const units = Math.abs(quantity);
  return units <= LINE_QUANTITY_MAX && BigInt(units) * unitMinorUnits <= LINE_MINOR_UNITS_MAX;
}

function isCsvError(error: unknown): error is CsvError {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && error.code.startsWith('CSV_');
}
