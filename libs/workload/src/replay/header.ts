/** The header of an invoice file: the delimiter, and where each column stands. */

/** The file cannot be read as an invoice file; the message names the line and what to do. */
export class InvoiceFileError extends Error {
  override readonly name = 'InvoiceFileError';
  readonly code = 'invoice_file';
  readonly retryable = false;
  readonly line: number;

  constructor(line: number, message: string, options?: ErrorOptions) {
    super(`line ${line}: ${message}`, options);
    this.line = line;
  }
}

/** The columns that are read, by the names of the data set. `Description` and `Country` may stand beside them. */
const COLUMNS = ['InvoiceNo', 'StockCode', 'Quantity', 'InvoiceDate', 'UnitPrice', 'CustomerID'] as const;
export type Column = (typeof COLUMNS)[number];

export interface Header {
  readonly delimiter: string;
  /** Fields of every row. */
  readonly width: number;
  readonly index: Readonly<Record<Column, number>>;
}

/** The same columns in the second edition of the data set. */
const ALIASES: Readonly<Record<string, string>> = { invoice: 'invoiceno', price: 'unitprice' };
const DELIMITERS = [';', ',', '\t'];
const EXPECTED = 'InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country';

/** @throws InvoiceFileError where a column is missing or stands twice. */
export function parseHeader(firstLine: string): Header {
  const line = firstLine.replace(/^\uFEFF/, '').replace(/\r$/, '');
  const delimiter = DELIMITERS.reduce((best, each) => (countOf(line, each) > countOf(line, best) ? each : best));
  const names = line.split(delimiter).map(normalise);
  const missing = COLUMNS.filter((column) => !names.includes(column.toLowerCase()));
  if (missing.length > 0) {
    throw new InvoiceFileError(1, `the header lacks ${missing.join(', ')}; expected ${EXPECTED} in any order, by ";" or ","`);
  }
  const double = COLUMNS.find((column) => names.indexOf(column.toLowerCase()) !== names.lastIndexOf(column.toLowerCase()));
  if (double) throw new InvoiceFileError(1, `the header names ${double} twice`);
  const index = (column: Column): number => names.indexOf(column.toLowerCase());
  return {
    delimiter,
    width: names.length,
    index: {
      InvoiceNo: index('InvoiceNo'),
      StockCode: index('StockCode'),
      Quantity: index('Quantity'),
      InvoiceDate: index('InvoiceDate'),
      UnitPrice: index('UnitPrice'),
      CustomerID: index('CustomerID'),
    },
  };
}

function normalise(name: string): string {
  const plain = name.replaceAll(/[\s"_]/g, '').toLowerCase();
  return ALIASES[plain] ?? plain;
}

function countOf(text: string, part: string): number {
  return text.split(part).length - 1;
}
