/** Peer: plain COPY of rows held in memory into the keyed table, one stream a shard. The ceiling of these Postgres servers. */
import { once } from 'node:events';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { captureOf } from '../writes.ts';
import { optionsOf, say } from './say.ts';

const ROWS_PER_CHUNK = 1_000;

const { shards, records, run } = optionsOf<{ shards: string[]; records: number; run: string }>();

const chunks = chunksOf();
const startedAt = performance.now();
await Promise.all(shards.map((url, index) => copyInto(url, chunks.filter((_, i) => i % shards.length === index))));
say('done', { records, seconds: (performance.now() - startedAt) / 1000 });

function chunksOf(): readonly string[] {
  const made: string[] = [];
  for (let from = 0; from < records; from += ROWS_PER_CHUNK) {
    let text = '';
    for (let i = from; i < Math.min(from + ROWS_PER_CHUNK, records); i++) {
      const { payment, account, amount, currency, order } = captureOf(run, i);
      text += `${payment}\t${account}\t${amount}\t${currency}\t${order}\n`;
    }
    made.push(text);
  }
  return made;
}

async function copyInto(url: string, texts: readonly string[]): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const stream = client.query(copyFrom('copy payment (payment, account, amount, currency, "order") from stdin'));
  for (const text of texts) {
    if (!stream.write(text)) await once(stream, 'drain');
  }
  stream.end();
  await once(stream, 'finish');
  await client.end();
}
