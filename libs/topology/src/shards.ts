/**
 * The shards' databases, by id.
 *
 * Addresses and passwords come from a file, so that each service holds credentials of its own role and none of them
 * stands in the control database. The file is read again when an unknown shard is asked for: a shard that joined.
 */
import { readFileSync } from 'node:fs';
import { createDatabase, type Database } from '@millrace/postgres';
import type { Log } from '@millrace/runtime';
import { parseJson } from '@millrace/wire';
import { SHARD_ID_PATTERN, type ShardId } from '@millrace/write';

export interface Shards {
  /** The database of a shard, connected on first use. @throws UnknownShard where the file does not name it, or cannot be read. */
  get(id: ShardId): Database;
  /** The same with the file read again, so that a corrected address holds. @throws UnknownShard, ShardsFileBroken */
  renew(id: ShardId): Database;
  /** The shards that the file names now, by name. */
  ids(): readonly ShardId[];
  end(): Promise<void>;
}

/** The shards file does not name a shard that the topology uses. */
export class UnknownShard extends Error {
  override readonly name = 'UnknownShard';
  readonly code = 'unknown_shard';
  readonly retryable = true;

  constructor(id: string, file: string, options?: ErrorOptions) {
    super(`shard ${id} is not in ${file}: add its address under that name`, options);
  }
}

/** The shards file is missing, or is not what it should be. Its content stands in no message: it holds passwords. */
export class ShardsFileBroken extends Error {
  override readonly name = 'ShardsFileBroken';
  readonly code = 'shards_file_broken';
  readonly retryable = true;

  constructor(file: string, fault: string) {
    super(`the shards file ${file} ${fault}: mend it`);
  }
}

export type ShardSettings = Omit<Parameters<typeof createDatabase>[0], 'url' | 'name' | 'log'>;

export function createShards({ file, log, settings }: { file: string; log: Log; settings: ShardSettings }): Shards {
  const databases = new Map<ShardId, { readonly url: string; readonly database: Database }>();
  let urls = readShardsFile(file);

  function get(id: ShardId): Database {
    const known = databases.get(id);
    if (known) return known.database;
    if (!urls.has(id)) urls = readFor(id);
    const url = urls.get(id);
    if (url === undefined) throw new UnknownShard(id, file);
    const database = createDatabase({ ...settings, url, name: id, log: log.child({ shard: id }) });
    databases.set(id, { url, database });
    return database;
  }

  /** While the file is broken, as where it is changed in place, nothing but the shard asked for is missing. */
  function readFor(id: ShardId): ReadonlyMap<ShardId, string> {
    try {
      return readShardsFile(file);
    } catch (cause) {
      throw new UnknownShard(id, file, { cause });
    }
  }

  function renew(id: ShardId): Database {
    urls = readShardsFile(file);
    const known = databases.get(id);
    if (known && known.url !== urls.get(id)) {
      databases.delete(id);
      void known.database.end();
    }
    return get(id);
  }

  return {
    get,
    renew,
    ids: () => [...urls.keys()].sort(),
    end: async () => void (await Promise.all([...databases.values()].map(({ database }) => database.end()))),
  };
}

/** The addresses by shard. @throws ShardsFileBroken */
export function readShardsFile(file: string): ReadonlyMap<ShardId, string> {
  const parsed = contentOf(file);
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) throw new ShardsFileBroken(file, 'is not an object of shard id to URL');
  const entries = Object.entries(parsed).map(([id, url]: [string, unknown]) => {
    if (!SHARD_ID_PATTERN.test(id)) throw new ShardsFileBroken(file, 'has a name that is not a shard id (a-z, 0-9, -)');
    if (typeof url !== 'string' || !/^postgres(ql)?:\/\//.test(url)) throw new ShardsFileBroken(file, `has an address of shard ${id} that is not a postgres URL`);
    return [id as ShardId, url] as const;
  });
  if (entries.length === 0) throw new ShardsFileBroken(file, 'names no shard');
  return new Map(entries);
}

/** The errors of V8 and of the system are not passed on: the former quotes what it could not read. */
function contentOf(file: string): unknown {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    throw new ShardsFileBroken(file, `cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown'})`);
  }
  try {
    return parseJson(bytes);
  } catch {
    throw new ShardsFileBroken(file, 'is not JSON');
  }
}
