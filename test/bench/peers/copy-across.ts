/** Peer: COPY out of one shard piped into COPY in on another, table by table. Nothing is compared, and nobody may write meanwhile. */
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import { optionsOf, say } from './say.ts';

const { source, target, slot, tables } = optionsOf<{ source: string; target: string; slot: number; tables: string[] }>();

const [here, there] = [source, target].map((url) => new pg.Client({ connectionString: url })) as [pg.Client, pg.Client];
await Promise.all([here.connect(), there.connect()]);
let bytes = 0;
let rows = 0;
say('ready');
const cpu = process.cpuUsage();
const startedAt = performance.now();
for (const table of tables) await copyAcross(table);
const seconds = (performance.now() - startedAt) / 1000;
const { user, system } = process.cpuUsage(cpu);
say('done', { seconds, bytes, rows, cores: (user + system) / 1e6 / seconds });
await Promise.all([here.end(), there.end()]);

async function copyAcross(table: string): Promise<void> {
  const out = here.query(copyTo(`copy (select * from "${table}" where slot = ${slot}) to stdout`));
  const into = there.query(copyFrom(`copy "${table}" from stdin`));
  await pipeline(out, counted(), into);
  rows += into.rowCount;
}

function counted(): Transform {
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      done(null, chunk);
    },
  });
}
