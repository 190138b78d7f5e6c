/** Databases of a benchmark on the shared servers. */
import pg from 'pg';

/** A fresh database on the server of `url`; its URL. */
export async function createDatabase(url: string, name: string): Promise<string> {
  await query(url, `drop database if exists "${name}" with (force)`);
  await query(url, `create database "${name}"`);
  return databaseUrl(url, name);
}

export async function dropDatabase(url: string, name: string): Promise<void> {
  await query(url, `drop database if exists "${name}" with (force)`);
}

/** Every side starts with its servers' dirty pages written, so that none pays for the side before. */
export async function checkpoint(urls: readonly string[]): Promise<void> {
  await Promise.all(urls.map((url) => query(url, 'checkpoint')));
}

export async function query(url: string, text: string): Promise<readonly Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

function databaseUrl(url: string, name: string): string {
  const changed = new URL(url);
  changed.pathname = `/${name}`;
  return changed.href;
}
