/** How a peer or a load generator talks to the harness: options as JSON in the first argument, one JSON line an event. */

export function optionsOf<Options>(): Options {
  const text = process.argv[2];
  if (text === undefined) throw new Error('this program takes its options as one JSON argument');
  return JSON.parse(text) as Options;
}

export function say(event: string, fields: Record<string, unknown> = {}): void {
  process.stdout.write(`${JSON.stringify({ event, atMs: performance.timeOrigin + performance.now(), ...fields })}\n`);
}

/** Reports the records applied so far, twenty times a second while they rise. */
export function reportProgress(applied: () => number): void {
  let said = 0;
  setInterval(() => {
    const now = applied();
    if (now === said) return;
    said = now;
    say('progress', { records: now });
  }, 50);
}
