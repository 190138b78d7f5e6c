import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { plainArray, textArray } from './arrays.ts';

/** Reads an array literal back by the rules of the manual, 8.15.2. */
function parse(literal: string): (string | null)[] {
  const values: (string | null)[] = [];
  const element = /"((?:[^"\\]|\\.)*)"|null/gsy;
  for (element.lastIndex = 1; literal[element.lastIndex] !== '}'; ) {
    const match = element.exec(literal)!;
    values.push(match[1] === undefined ? null : match[1].replace(/\\(.)/gs, '$1'));
    if (literal[element.lastIndex] === ',') element.lastIndex += 1;
  }
  return values;
}

test('text of any kind is read back as it was', () => {
  fc.assert(fc.property(fc.array(fc.option(fc.oneof(fc.string(), fc.constantFrom('', 'null', '"', '\\', '{a,b}', ' ')))), (values) => expect(parse(textArray(values))).toEqual(values)));
});

test('numbers and uuids stand as they are', () => {
  expect(plainArray([1, 2n, 'a0'])).toBe('{1,2,a0}');
  expect(plainArray([])).toBe('{}');
});
