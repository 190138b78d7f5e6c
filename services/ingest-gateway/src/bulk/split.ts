/**
 * NDJSON, split into lines as it arrives: memory for one unfinished line, whatever the body's size.
 *
 * Lines end in a line feed; a carriage return before it and lines of blanks only are ignored. A line over the limit
 * or not in UTF-8 is told as such and does not disturb the next.
 */
import { isUtf8 } from 'node:buffer';

export type BadLine = { readonly bad: 'too_long' | 'not_utf8' };
export type Line = string | BadLine;

export interface LineSplitter {
  /** The lines that these bytes complete, without blank ones. */
  push(bytes: Buffer): Line[];
  /** The last line, where it has no line feed. */
  end(): Line[];
}

const LINE_FEED = 0x0a;
const BLANK_PATTERN = /^[ \t\r]*$/;
const TOO_LONG: BadLine = { bad: 'too_long' };
const NOT_UTF8: BadLine = { bad: 'not_utf8' };

/** `lineBytesMax` is without the line feed. */
export function createLineSplitter(lineBytesMax: number): LineSplitter {
  let rest: Buffer[] = [];
  let restBytes = 0;
  let overLong = false;

  function keep(bytes: Buffer): void {
    restBytes += bytes.length;
    if (restBytes > lineBytesMax) {
      overLong = true;
      rest = [];
    } else if (bytes.length > 0) rest.push(bytes);
  }

  function takeRest(): Line {
    const line = overLong ? TOO_LONG : decode(rest.length === 1 && rest[0] ? rest[0] : Buffer.concat(rest));
    rest = [];
    restBytes = 0;
    overLong = false;
    return line;
  }

  function decode(bytes: Buffer): Line {
    if (bytes.length > lineBytesMax) return TOO_LONG;
    return isUtf8(bytes) ? bytes.toString('utf8') : NOT_UTF8;
  }

  /** Whole lines, without the last line feed. One decode for all of them where that can be. */
  function decodeAll(bytes: Buffer): Line[] {
    if (bytes.length <= lineBytesMax && isUtf8(bytes)) return bytes.toString('utf8').split('\n');
    const lines: Line[] = [];
    for (let start = 0; start <= bytes.length; ) {
      const feed = bytes.indexOf(LINE_FEED, start);
      const end = feed < 0 ? bytes.length : feed;
      lines.push(decode(bytes.subarray(start, end)));
      start = end + 1;
    }
    return lines;
  }

  return {
    push(bytes) {
      const lastFeed = bytes.lastIndexOf(LINE_FEED);
      if (lastFeed < 0) {
        keep(bytes);
        return [];
      }
      const lines: Line[] = [];
      let start = 0;
      if (restBytes > 0) {
        start = bytes.indexOf(LINE_FEED) + 1;
        keep(bytes.subarray(0, start - 1));
        lines.push(takeRest());
      }
      if (start <= lastFeed) lines.push(...decodeAll(bytes.subarray(start, lastFeed)));
      keep(bytes.subarray(lastFeed + 1));
      return lines.filter(isContent);
    },
    end: () => (restBytes > 0 ? [takeRest()].filter(isContent) : []),
  };
}

function isContent(line: Line): boolean {
  return typeof line !== 'string' || !BLANK_PATTERN.test(line);
}
