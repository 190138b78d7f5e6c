/** How fast one move carries rows, with all its comparing, against COPY out piped into COPY in of the same rows. */
import { createDatabase as connect } from '@millrace/postgres';
import { createLog } from '@millrace/runtime';
import { prepareShard, slotTables } from '@millrace/slot-processor';
import type { ShardId } from '@millrace/write';
import type { Bench, Report } from '../harness/bench.ts';
import { nodeProgram } from '../harness/children.ts';
import { findRatio } from '../harness/findings.ts';
import { createInstallation, type Installation } from '../harness/installation.ts';
import { checkpoint, createDatabase, dropDatabase } from '../harness/postgres.ts';
import { atMsOf } from '../harness/ring.ts';
import { interleave, type Measure, type Side } from '../harness/rounds.ts';
import { fillSlot } from '../harness/slot-rows.ts';
import { cpuSecondsOf } from '../harness/usage.ts';

const SLOTS = 64;
const PEER = 'peer-move';
const NO_CLUSTER = '00000000-0000-0000-0000-000000000000';

export async function moveBandwidth(bench: Bench): Promise<Report> {
  const { servers, options } = bench;
  const [, server = ''] = servers.postgres;
  const installation = await createInstallation(bench, { name: 'move-bandwidth', slots: SLOTS });
  const peerUrl = await createPeer(server);
  const owners = await installation.ring.owners();
  const slots = owners.flatMap((owner, slot) => (owner === 'a' ? [slot] : []));
  const slotOf = (round: number): number => slots[round - 1] ?? Number.NaN;
  if (options.rounds > slots.length) throw new Error(`there are slots for ${slots.length} rounds`);
  const results = await interleave([copy(bench, installation, peerUrl, slotOf), move(bench, installation, slotOf)], options.rounds);
  await dropDatabase(server, PEER);
  await installation.remove();
  return {
    name: 'move-bandwidth',
    title: 'Bandwidth of one move',
    method: `A slot of ${options.records} journal rows, as many payments and its accounts, made by SQL, vacuumed and checkpointed; a fresh one each round; no load. \`copy\`: one Node process, per table one COPY out of shard a's database piped into one COPY in on shard b's server, into tables with the same indexes, which keep the rows of the rounds before as shard b does. \`move\`: the same rows moved from a to b, from its start to its activation, comparisons and rounds included; then the source is purged at leisure.`,
    columns: [
      { metric: 'rows', title: 'rows' },
      { metric: 'megabytes', title: 'MB' },
      { metric: 'seconds', title: 'seconds' },
      { metric: 'megabytesPerSecond', title: 'MB/s' },
      { metric: 'processCores', title: 'process cores' },
      { metric: 'postgresCores', title: 'Postgres cores' },
      { metric: 'secondsToPurged', title: 'seconds until purged' },
    ],
    results,
    findings: [findRatio(results, { what: 'against COPY piped to COPY', a: 'move', b: 'copy', metric: 'megabytesPerSecond', atLeast: 0.5 })],
  };
}

/** Makes the round's rows, too: the side after it moves the same. */
function copy({ servers, options, children }: Bench, { urlOf }: Installation, peerUrl: string, slotOf: (round: number) => number): Side {
  return {
    name: 'copy',
    measure: async (round) => {
      const slot = slotOf(round);
      await fillSlot(urlOf('a'), { slot, slots: SLOTS, journalRows: options.records, journalRowsPerPayment: 1 });
      await checkpoint(servers.postgres);
      const task = { source: urlOf('a'), target: peerUrl, slot, tables: slotTables.map(({ name }) => name) };
      const child = children.start(nodeProgram({ name: 'copy-across', file: 'peers/copy-across.ts', options: task }));
      await child.event('ready');
      const before = servers.cpuSeconds().postgres;
      const done = await child.event('done');
      const postgresSeconds = servers.cpuSeconds().postgres - before;
      await child.exited;
      const seconds = Number(done['seconds']);
      return { ...carried(Number(done['rows']), Number(done['bytes']), seconds), processCores: Number(done['cores']), postgresCores: postgresSeconds / seconds };
    },
  };
}

function move({ servers }: Bench, { ring, ringManager }: Installation, slotOf: (round: number) => number): Side {
  return {
    name: 'move',
    measure: async (round) => {
      await checkpoint(servers.postgres);
      const usage = () => ({ process: cpuSecondsOf(ringManager.pid ?? -1), postgres: servers.cpuSeconds().postgres });
      const before = usage();
      const asked = await ring.move(slotOf(round), 'b');
      const activated = await ring.until(asked, ({ progress }) => progress.activated_at !== undefined);
      const after = usage();
      const ended = await ring.until(asked, ({ state }) => state === 'done');
      const startedAtMs = atMsOf(activated, 'started');
      const seconds = (atMsOf(activated, 'activated') - startedAtMs) / 1000;
      const { rows, bytes } = activated.progress;
      return {
        ...carried(rows, bytes, seconds),
        processCores: (after.process - before.process) / seconds,
        postgresCores: (after.postgres - before.postgres) / seconds,
        secondsToPurged: (atMsOf(ended, 'ended') - startedAtMs) / 1000,
      };
    },
  };
}

function carried(rows: number, bytes: number, seconds: number): Measure {
  return { rows, megabytes: bytes / 1e6, seconds, megabytesPerSecond: bytes / 1e6 / seconds };
}

/** A database with a shard's tables that no cluster uses. */
async function createPeer(server: string): Promise<string> {
  const url = await createDatabase(server, PEER);
  const log = createLog({ name: PEER, level: 'warn' });
  const database = connect({ url, name: PEER, applicationName: PEER, poolMax: 2, statementTimeoutMs: 60_000, idleInTransactionTimeoutMs: 60_000, connectTimeoutMs: 5_000, log });
  await prepareShard({ database, identity: { clusterId: NO_CLUSTER, shard: 'peer' as ShardId, slots: SLOTS }, log });
  await database.end();
  return url;
}
