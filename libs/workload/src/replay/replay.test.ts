import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { writeTypes } from '@millrace/domain';
import { ID_PATTERN, IDEMPOTENCY_KEY_PATTERN, parseAmount } from '@millrace/write';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type OrderLine, type Work, keyOf } from '../write.ts';
import { createCalendar, readDate } from './date.ts';
import { accountOf, idOf, orderOf } from './ids.ts';
import { formatMicros, parsePrice } from './money.ts';
import { createReplay } from './replay.ts';
import { type ReplayReport, formatReplayReport } from './report.ts';

const HEADER = 'InvoiceNo;StockCode;Description;Quantity;InvoiceDate;UnitPrice;CustomerID;Country';
let dir = '';

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'replay-'));
});
afterAll(async () => {
  await rm(dir, { recursive: true });
});

async function replayText(text: string): Promise<{ works: Work[]; report: ReplayReport }> {
  const file = join(dir, 'invoices.csv');
  await writeFile(file, text);
  return replayFile(file);
}

async function replayFile(file: string): Promise<{ works: Work[]; report: ReplayReport }> {
  const replay = createReplay({ file });
  const works: Work[] = [];
  for await (const work of replay.writes) works.push(work);
  return { works, report: replay.report() };
}

const bodies = (works: readonly Work[]): Work['body'][] => works.map(({ body }) => body);
const reasons = (report: ReplayReport): Record<string, number> =>
  Object.fromEntries(Object.entries(report.unusable).map(([reason, share]) => [reason, share.rows]));

describe('a replay', () => {
  test('turns an invoice into an account, stock, a deposit, and an order that charges it', async () => {
    const { works, report } = await replayText(
      `\uFEFF${HEADER}\n1;A;LAMP;2;1/12/2010 08:26;2,55;17850;UK\n1;B C;"A ""B""; C";1;1/12/2010 08:26;1;17850;UK\n1;A;LAMP;3;1/12/2010 08:26;0,5;17850;UK\n`,
    );
    const lines = [
      { sku: 'A', quantity: 2, unit_price: '2.55' },
      { sku: 'B%20C', quantity: 1, unit_price: '1.00' },
      { sku: 'A', quantity: 3, unit_price: '0.50' },
    ];
    expect(bodies(works)).toEqual([
      { type: 'account.open', data: { account: '17850', currency: 'GBP' } },
      { type: 'stock.receive', data: { sku: 'A', quantity: 5 } },
      { type: 'stock.receive', data: { sku: 'B%20C', quantity: 1 } },
      { type: 'account.deposit', data: { account: '17850', amount: '7.60', currency: 'GBP', reference: 'invoice 1' } },
      { type: 'order.place', data: { order: '1', account: '17850', currency: 'GBP', lines } },
    ]);
    expect(works.map(({ after }) => after)).toEqual([undefined, undefined, undefined, undefined, ['17850', 'A', 'B%20C']]);
    expect(report).toMatchObject({ rows: 3, micros: 7_600_000n, invoices: 1, accounts: 1, orders: { count: 1, rows: 3 } });
    expect(report.period).toEqual({ from: '2010-12-01', to: '2010-12-01' });
  });

  test('reads commas, decimal points, other column orders and US dates', async () => {
    const { report, works } = await replayText(
      'Country,Customer ID,UnitPrice,InvoiceDate,Quantity,StockCode,Invoice\r\nUK,17850.0,"1,234.50",12/13/2010 8:26,1,A,7\r\nUK,,2.5,12/1/2010 8:26,2,A,8\r\n',
    );
    expect(report).toMatchObject({ micros: 1_239_500_000n, accounts: 2, guestRows: 1, period: { from: '2010-12-01', to: '2010-12-13' } });
    expect(works.map(({ body }) => keyOf(body))).toEqual(expect.arrayContaining(['17850', 'guest']));
  });

  test('returns what a cancellation names, from the earlier orders of the customer, the newest first, once they have ended', async () => {
    const row = (invoice: string, sku: string, quantity: number, price = '10', customer = '1'): string =>
      `${invoice};${sku};X;${quantity};1/12/2010 08:26;${price};${customer};UK\n`;
    const sales = row('C1', 'A', -1) + row('2', 'A', 5) + row('3', 'A', 2) + row('3', 'B', 4, '3') + row('3', 'A', 1) + row('3', 'B', 1, '2');
    const cancellations = [
      row('C4', 'A', -4) + row('C4', 'B', -1, '3') + row('C4', 'D', -1, '99'), // of two orders, and a discount
      row('C5', 'A', -5), // 4 are left
      row('C6', 'B', -1, '2'), // stands behind units of another price
      row('C7', 'B', -3, '3'),
      row('C8', 'B', -1, '2'), // and now no longer
      row('C9', 'A', -4, '9'),
      row('C10', 'A', -4),
      row('C11', 'A', -1, '10', '2'),
    ];
    const { works, report } = await replayText(`${HEADER}\n${sales}${cancellations.join('')}`);
    const returns = works.flatMap(({ body, onceEnded }) => (body.type === 'order.return' ? [[body.data, onceEnded]] : []));
    const once = (order: string): object => ({ order, as: ['confirmed'] });
    expect(returns).toEqual([
      [{ order: '3', return: 'C4', lines: [{ sku: 'A', quantity: 3 }, { sku: 'B', quantity: 1 }] }, once('3')],
      [{ order: '2', return: 'C4', lines: [{ sku: 'A', quantity: 1 }] }, once('2')],
      [{ order: '3', return: 'C7', lines: [{ sku: 'B', quantity: 3 }] }, once('3')],
      [{ order: '3', return: 'C8', lines: [{ sku: 'B', quantity: 1 }] }, once('3')],
      [{ order: '2', return: 'C10', lines: [{ sku: 'A', quantity: 4 }] }, once('2')],
    ]);
    expect(report.unmatched).toMatchObject({
      no_earlier_order: { rows: 2, micros: -20_000_000n },
      not_bought: { rows: 1, micros: -99_000_000n },
      not_enough_left: { rows: 2, micros: -52_000_000n },
      other_price: { rows: 1, micros: -36_000_000n },
    });
    expect(report).toMatchObject({ cancellations: 9, accounts: 2, returns: { count: 5, rows: 5, micros: -94_000_000n } });
  });

  test('counts and explains each row that it cannot use', async () => {
    const rows = [
      '1;A;X;1;1/12/2010 08:26;2;9;UK',
      '1;A;X;1;1/12/2010 08:26;2;9',
      ';A;X;1;1/12/2010 08:26;2;9;UK',
      '1;;X;1;1/12/2010 08:26;2;9;UK',
      '1;A;X;one;1/12/2010 08:26;2;9;UK',
      '1;A;X;0;1/12/2010 08:26;2;9;UK',
      '1;A;X;1;1/12/2010 08:26;two;9;UK',
      '1;A;X;1;1/12/2010 08:26;0,001;9;UK',
      '1;A;X;1;1/12/2010 08:26;-2;9;UK',
      '1;A;X;1;1/12/2010 08:26;0;9;UK',
      '1;A;X;1;31/31/2010 08:26;2;9;UK',
      'A1;B;Adjust bad debt;1;1/12/2010 08:26;11062,06;;UK',
      '2;A;lost;-3;1/12/2010 08:26;0;;UK',
      'C3;A;X;3;1/12/2010 08:26;2;9;UK',
      '1;A;X;2000000;1/12/2010 08:26;2;9;UK',
    ];
    const { report, works } = await replayText(`${HEADER}\n${rows.join('\n')}`);
    const each = ['wrong_fields', 'no_invoice', 'no_stock_code', 'bad_quantity', 'zero_quantity', 'bad_price', 'price_too_precise'];
    const others = ['negative_price', 'zero_price', 'bad_date', 'accounts_entry', 'negative_without_cancellation', 'positive_in_cancellation', 'out_of_range'];
    expect(reasons(report)).toEqual(Object.fromEntries([...each, ...others].map((reason) => [reason, 1])));
    expect(report).toMatchObject({ rows: 15, orders: { count: 1, rows: 1 }, invoicesWithoutUsableRow: 3 });
    expect(works).toHaveLength(4);
    const text = formatReplayReport(report);
    for (const reason of [...each, ...others]) expect(text).toContain(reason);
    expect(text).toContain('(line 12)');
  });

  test('splits an invoice that is too long for an order, or not in one piece', async () => {
    const row = (invoice: string, n: number): string => `${invoice};S${n};X;1;1/12/2010 08:26;1;1;UK\n`;
    const long = Array.from({ length: 1_001 }, (_, n) => row('5', n)).join('');
    const { works, report } = await replayText(`${HEADER}\n${long}${row('6', 1)}${row('5', 2)}`);
    const orders = bodies(works).flatMap((body) => (body.type === 'order.place' ? [[body.data.order, body.data.lines.length]] : []));
    expect(orders).toEqual([['5', 1_000], ['5~2', 1], ['6', 1], ['5~3', 1]]);
    expect(report).toMatchObject({ splitInvoices: 1, invoices: 2, orders: { count: 4 } });
    expect(new Set(works.map((work) => `${keyOf(work.body)} ${work.idempotencyKey}`)).size).toBe(works.length);
  });

  test.each([
    ['Invoice,Quantity\n', /^line 1: the header lacks StockCode, InvoiceDate, UnitPrice, CustomerID; expected InvoiceNo/],
    ['', /^line 1: the header lacks InvoiceNo/],
    [`${HEADER};Quantity\n`, /^line 1: the header names Quantity twice/],
    [`${HEADER}\n1;A;X;1;1/12/2010 08:26;2;9;UK\n2;A;"open;1;1/12/2010 08:26;2;9;UK\n`, /^line \d: .*[Qq]uote/],
  ])('refuses a file that is no invoice file, naming the line: %j', async (text, message) => {
    await expect(replayText(text)).rejects.toMatchObject({ name: 'InvoiceFileError', message: expect.stringMatching(message) });
  });

  test('of a missing file fails with its name', async () => {
    await expect(replayFile(join(dir, 'absent.csv'))).rejects.toThrow(/ENOENT.*absent\.csv/);
  });

  test('of a header alone is empty', async () => {
    const { works, report } = await replayText(HEADER);
    expect(works).toEqual([]);
    expect(report).toMatchObject({ rows: 0, invoices: 0, accounts: 0 });
  });
});

describe('the fields of the file', () => {
  test.each([
    ['2,55', 2_550_000n],
    ['2.55', 2_550_000n],
    ['2', 2_000_000n],
    ['0,001', 1_000n],
    ['-11062,06', -11_062_060_000n],
    ['1,234.5', 1_234_500_000n],
    ['1.234,5', 1_234_500_000n],
    ['1e3', undefined],
    ['', undefined],
    ['2.5.5', undefined],
  ])('price %j', (text, micros) => expect(parsePrice(text)).toBe(micros));

  test.each([[180_667_750_000n, '180,667.75'], [-1_000n, '-0.001'], [0n, '0.00']])('sum %d is written %s', (micros, text) =>
    expect(formatMicros(micros)).toBe(text),
  );

  test.each([
    ['1/12/2010 08:26', '2010-12-01', '2010-01-12'],
    ['13/1/2011 8:26', '2011-01-13', undefined],
    ['1/13/2011 8:26:59', undefined, '2011-01-13'],
    ['2011-02-28T23:59:00Z', '2011-02-28', '2011-02-28'],
    ['2010-12-01 08:26:00', '2010-12-01', '2010-12-01'],
  ])('date %j', (text, dayFirst, monthFirst) => expect(readDate(text)).toEqual({ dayFirst, monthFirst }));

  test.each(['', '2011-02-30', '30/2/2011 10:00', '1/12/2010 24:00', 'yesterday'])('date %j is none', (text) =>
    expect(readDate(text)).toBeUndefined(),
  );

  test('ambiguous dates are read as the others of the file', () => {
    const calendar = createCalendar();
    for (const text of ['1/2/2011 8:00', '2/13/2011 8:00']) calendar.add(readDate(text)!);
    expect(calendar.period()).toEqual({ from: '2011-01-02', to: '2011-02-13' });
  });

  test('ids keep to their alphabet, and different texts stay different', () => {
    const texts = ['17850', 'BANK CHARGES', 'BANK%20CHARGES', 'a/b', 'ä', '~', 'x'.repeat(65), `${'x'.repeat(65)}y`, 'x'.repeat(64)];
    const ids = [...texts.map(idOf), ...texts.map((text) => orderOf(text, 2))];
    ids.forEach((id) => expect(id).toMatch(ID_PATTERN));
    expect(new Set(ids).size).toBe(ids.length);
    expect([accountOf(''), accountOf('17850.0'), idOf('17850')]).toEqual(['guest', '17850', '17850']);
  });
});

/** `RETAIL_CSV`, or the file beside the repository. */
const RETAIL = process.env['RETAIL_CSV'] ?? fileURLToPath(new URL('../../../../../shared/data/online-retail-10k.csv', import.meta.url));

if (existsSync(RETAIL)) {
  describe('the first 10,000 rows of Online Retail', () => {
    test('add up to the totals of the data set, in rows, invoices and money', async () => {
      const { works, report } = await replayFile(RETAIL);
      expect(report).toMatchObject({ rows: 10_000, invoices: 512, cancellations: 43, skus: 2_015, guestRows: 2_291, accounts: 324 });
      expect(formatMicros(report.micros)).toBe('180,667.75');
      const ordered = works.reduce((sum, { body }) => sum + (body.type === 'order.place' ? priceOf(body.data.lines) : 0n), 0n);
      const unmatched = Object.values(report.unmatched).reduce((sum, { micros }) => sum + micros, 0n) / 10_000n;
      expect(ordered + report.returns.micros / 10_000n + unmatched).toBe(18_066_775n);
      expect(deposited(works)).toBe(ordered);
    });

    test('become returns that the orders allow, with what the file says of them', async () => {
      const { works, report } = await replayFile(RETAIL);
      const left = new Map<string, (OrderLine & { left: number })[]>();
      let paidBack = 0n;
      for (const { body } of works) {
        if (body.type === 'order.place') left.set(body.data.order, body.data.lines.map((line) => ({ ...line, left: line.quantity })));
        if (body.type !== 'order.return') continue;
        for (const { sku, quantity } of body.data.lines) {
          let missing = quantity;
          for (const line of left.get(body.data.order)!.filter((each) => each.sku === sku)) {
            const units = Math.min(missing, line.left);
            line.left -= units;
            missing -= units;
            paidBack += BigInt(units) * parseAmount(line.unit_price, 'GBP')!;
          }
          expect(missing).toBe(0);
        }
      }
      expect(report.returns.count).toBeGreaterThan(0);
      expect(paidBack).toBe(-report.returns.micros / 10_000n);
    });

    test('become writes that the schemas accept, each under a key of its own, the same every time', async () => {
      const { works } = await replayFile(RETAIL);
      for (const { body, idempotencyKey } of works) {
        expect(idempotencyKey).toMatch(IDEMPOTENCY_KEY_PATTERN);
        writeTypes.get(body.type)!.schema.parse(body.data);
      }
      expect(new Set(works.map((work) => `${keyOf(work.body)} ${work.idempotencyKey}`)).size).toBe(works.length);
      expect((await replayFile(RETAIL)).works).toEqual(works);
    });
  });
} else {
  test.skip(`the first 10,000 rows of Online Retail: there is no ${RETAIL}; set RETAIL_CSV`, () => undefined);
}

function deposited(works: readonly Work[]): bigint {
  return works.reduce((sum, { body }) => (body.type === 'account.deposit' ? sum + parseAmount(body.data.amount, 'GBP')! : sum), 0n);
}

function priceOf(lines: readonly OrderLine[]): bigint {
  return lines.reduce((sum, { quantity, unit_price: price }) => sum + BigInt(quantity) * parseAmount(price, 'GBP')!, 0n);
}
