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
  return await withClients([url], async ([client]) => (await client!.query<Record<string, unknown>>(text)).rows);
}

/** A connection that stays; where it breaks, the next query tells. */
export async function openClient(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** Connections for as long as the work lasts, in the order of the addresses. */
export async function withClients<T>(urls: readonly string[], work: (clients: readonly pg.Client[]) => Promise<T>): Promise<T> {
  const clients = await Promise.all(urls.map(openClient));
  try {
    return await work(clients);
  } finally {
    await Promise.all(clients.map((client) => client.end()));
  }
}

function databaseUrl(url: string, name: string): string {
  const changed = new URL(url);
  changed.pathname = `/${name}`;
  return changed.href;
}
