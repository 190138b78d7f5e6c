import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { createLineSplitter, type Line } from './split.ts';

function splitInPieces(bytes: Buffer, pieceBytes: number, lineBytesMax = 64): Line[] {
  const splitter = createLineSplitter(lineBytesMax);
  const lines: Line[] = [];
  for (let i = 0; i < bytes.length; i += pieceBytes) lines.push(...splitter.push(bytes.subarray(i, i + pieceBytes)));
  return [...lines, ...splitter.end()];
}

describe('NDJSON lines', () => {
  test('a line may come in pieces, and the last one without a line feed', () => {
    expect(splitInPieces(Buffer.from('{"a":1}\n{"b":2}\n{"c":3}'), 3)).toEqual(['{"a":1}', '{"b":2}', '{"c":3}']);
  });

  test('blank lines are skipped', () => {
    expect(splitInPieces(Buffer.from('\n\r\n  \n1\r\n\n'), 100)).toEqual(['1\r']);
  });

  test('a line over the limit is told once, and the next one is whole', () => {
    const bytes = Buffer.from(`${'x'.repeat(65)}\n${'y'.repeat(64)}\nz`);
    for (const pieceBytes of [1, 7, 64, 65, 66, 1000]) {
      expect(splitInPieces(bytes, pieceBytes)).toEqual([{ bad: 'too_long' }, 'y'.repeat(64), 'z']);
    }
  });

  test('a line that never ends keeps no memory beyond the limit', () => {
    const splitter = createLineSplitter(64);
    for (let i = 0; i < 1000; i += 1) expect(splitter.push(Buffer.alloc(1000, 'x'))).toEqual([]);
    expect(splitter.end()).toEqual([{ bad: 'too_long' }]);
  });

  test('a line that is not UTF-8 does not disturb its neighbours', () => {
    const bytes = Buffer.concat([Buffer.from('"é"\n'), Buffer.from([0x22, 0xc3, 0x22, 0x0a]), Buffer.from('"ü"')]);
    for (const pieceBytes of [1, 2, 5, 100]) expect(splitInPieces(bytes, pieceBytes)).toEqual(['"é"', { bad: 'not_utf8' }, '"ü"']);
  });

  test('how the bytes are cut changes nothing', () => {
    const content = fc.array(fc.string({ unit: 'binary', maxLength: 20 }).map((text) => text.toWellFormed().replaceAll('\n', ' ')), { maxLength: 12 });
    fc.assert(
      fc.property(content, fc.integer({ min: 1, max: 40 }), (lines, pieceBytes) => {
        const expected = lines.filter((line) => !/^[ \t\r]*$/.test(line));
        expect(splitInPieces(Buffer.from(lines.join('\n')), pieceBytes, 200)).toEqual(expected);
      }),
    );
  });
});
