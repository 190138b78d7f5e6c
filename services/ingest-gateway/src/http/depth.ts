/** How deep arrays and objects nest, found without building them. */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/**
 * True where JSON text opens more than `depthMax` arrays and objects within each other. The text may be malformed;
 * the answer is then about what its brackets outside strings say.
 */
export function nestsDeeperThan(text: string, depthMax: number): boolean {
  if (opensAtMost(text, depthMax)) return false;
  let depth = 0;
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) i = endOfString(text, i);
    // `[` is 0x5b and `{` is 0x7b, `]` 0x5d and `}` 0x7d: they differ in one bit.
    else if ((code & 0xdf) === 0x5b) {
      depth += 1;
      if (depth > depthMax) return true;
    } else if ((code & 0xdf) === 0x5d) depth -= 1;
  }
  return false;
}

/** True where no more than `max` brackets open, also those in strings: nearly every text, and found fast. */
function opensAtMost(text: string, max: number): boolean {
  let count = 0;
  for (let i = text.indexOf('{'); i >= 0; i = text.indexOf('{', i + 1)) {
    count += 1;
    if (count > max) return false;
  }
  for (let i = text.indexOf('['); i >= 0; i = text.indexOf('[', i + 1)) {
    count += 1;
    if (count > max) return false;
  }
  return true;
}

/** The index of the quote that ends the string which starts at `start`; the end of the text where none does. */
function endOfString(text: string, start: number): number {
  for (let i = start + 1; ; i += 1) {
    i = text.indexOf('"', i);
    if (i < 0) return text.length;
    let backslashes = 0;
    while (text.charCodeAt(i - 1 - backslashes) === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return i;
  }
}
