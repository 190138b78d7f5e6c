/** Path segments as clients write them. */

/** The path of a request target, without its query. */
export function pathOf(url: string): string {
  const query = url.indexOf('?');
  return query < 0 ? url : url.slice(0, query);
}

/** A segment without its percent coding; undefined where the coding is broken or the segment is too long. */
export function decodeSegment(segment: string, charsMax: number): string | undefined {
  if (segment.length > charsMax) return undefined;
  if (!segment.includes('%')) return segment;
  try {
    return decodeURIComponent(segment);
  } catch (error) {
    if (error instanceof URIError) return undefined;
    throw error;
  }
}
