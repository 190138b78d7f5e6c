import { describe, expect, test } from '@jest/globals';
import { classifySqlState } from './sqlstate.ts';

const KINDS = {
  data: '22001 22003 22021 22023 22P02 22P04 22P05 23502 23503 23505 23514 23P01 42804 42846',
  bug: '21000 25001 25P02 42601 42P02 42P18',
  infrastructure:
    '07000 08000 08006 0A000 25006 25P03 25P04 26000 28000 28P01 3D000 3F000 40001 40P01 40003 42501 42P01 42703 ' +
    '42883 42P05 42P07 53100 53200 53300 54000 55P03 57014 57P01 57P02 57P03 58030 P0001 XX000 XX001 F0000',
};

describe('W8: a SQLSTATE', () => {
  for (const [kind, codes] of Object.entries(KINDS)) {
    test.each(codes.split(' '))(`%s is ${kind}`, (code) => expect(classifySqlState(code)).toBe(kind));
  }

  test.each(['99999', 'ZZ001', 'XX999', '', '2'])('that is unknown (%p) parks nothing', (code) => {
    expect(classifySqlState(code)).toBe('infrastructure');
  });
});
