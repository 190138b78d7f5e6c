import { describe, expect, test } from '@jest/globals';
import { copyRow, copyText } from './copy.ts';

describe('COPY text', () => {
  test.each([
    [null, '\\N'],
    ['', ''],
    ['\\N', '\\\\N'],
    ['\\.', '\\\\.'],
    ['a\tb\nc\rd\\', 'a\\tb\\nc\\rd\\\\'],
    ['żółć 💶', 'żółć 💶'],
  ])('%p is written %p', (value, text) => expect(copyText(value)).toBe(text));

  test('a row is one line, with tabs only between columns', () => {
    expect(copyRow(['a\t', 1, 2n ** 62n, true, null])).toBe('a\\t\t1\t4611686018427387904\ttrue\t\\N\n');
  });
});
