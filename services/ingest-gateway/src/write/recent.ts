/**
 * The writes that this process acknowledged lately, by digest.
 *
 * A retry within that time gets the same receipt without another record. Of two writes under one key the one with the
 * lower offset stays, because the shard takes the first (W6). It is a short memory, and not the only way in: an earlier
 * write of the key may have come by bulk, by another gateway or before a restart. So what is remembered need not be the
 * first; only the journal knows (`write/misuse.ts`).
 *
 * Two generations make it cheap: the young one takes what comes, and what is found in the old one moves up; when the
 * young one is full, the old one is forgotten. So at least `max / 2` of the last used writes are known, at the cost of a
 * few look-ups a write.
 */
import { assert, type BodyHash, type Digest, type Offset } from '@millrace/write';

export interface RecentWrite {
  readonly bodyHash: BodyHash;
  readonly receipt: string;
  readonly offset: Offset;
}

export interface RecentWrites {
  find(digest: Digest): RecentWrite | undefined;
  /** Remembers the write, unless one with a lower offset is known under the digest. */
  add(digest: Digest, write: RecentWrite): void;
  size(): number;
}

/** Remembers at most `max` writes. */
export function createRecentWrites(max: number): RecentWrites {
  assert(max >= 2, 'each generation holds a write');
  const generationMax = Math.floor(max / 2);
  let young = new Map<Digest, RecentWrite>();
  let old = new Map<Digest, RecentWrite>();

  function add(digest: Digest, write: RecentWrite): void {
    const known = find(digest);
    if (known === undefined || write.offset < known.offset) keep(digest, write);
  }

  function keep(digest: Digest, write: RecentWrite): void {
    if (young.size >= generationMax && !young.has(digest)) {
      old = young;
      young = new Map();
    }
    young.set(digest, write);
  }

  function find(digest: Digest): RecentWrite | undefined {
    const write = young.get(digest);
    if (write !== undefined) return write;
    const older = old.get(digest);
    if (older !== undefined) {
      old.delete(digest);
      keep(digest, older);
    }
    return older;
  }

  return { find, add, size: () => young.size + old.size };
}
