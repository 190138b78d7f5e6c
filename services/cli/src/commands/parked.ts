/** `millrace parked`: keys that wait for an operator, and their release. */
import { randomUUID } from 'node:crypto';

import { createLanes } from '@millrace/kafka';
import { PgError } from '@millrace/postgres';
import { createLog } from '@millrace/runtime';
import { listParked, releaseRecord, showParked, type ParkedKeySummary, type ParkedRecord, type ReleaseAction } from '@millrace/slot-processor';
import { topicNames } from '@millrace/wire';
import type { ShardId, Stream } from '@millrace/write';
import type { Command } from 'commander';

import { connected, type Connections } from '../connect.ts';
import { contextOf, wholeNumber } from '../context.ts';
import { UsageError } from '../usage-error.ts';

const LANE = { recordsPerRequestMax: 1, queuedRecordsMax: 1, queuedBytesMax: 1024 * 1024, requestTimeoutMs: 10_000 };
const LIMIT = 100;

export function parkedCommand(program: Command): void {
  const parked = program.command('parked').description('keys whose next record cannot apply, and that wait for an operator');
  const limit = ['--limit <n>', 'how many at most', wholeNumber(1, 100_000), LIMIT] as const;

  parked
    .command('list')
    .description('the parked keys, with their reasons')
    .option(...limit)
    .action(async (options: { readonly limit: number }, command: Command) => {
      const { output, target } = contextOf(command);
      const { found, silent } = await connected(target(), (connections) => onEachShard(connections, (database) => listParked(database, options.limit)));
      const none = silent.length === 0 ? 'nothing is parked' : 'nothing is parked on the shards that answer';
      output.result(found.length === 0 ? none : found.map(formatKey).join('\n'), found);
      tellSilent(silent);
    });

  parked
    .command('show')
    .description('the waiting records of a key, oldest first')
    .argument('<key>', 'the routing key: tenant/id')
    .option(...limit)
    .action(async (key: string, options: { readonly limit: number }, command: Command) => {
      const { output, target } = contextOf(command);
      const { found: records, silent } = await connected(target(), (connections) => onEachShard(connections, (database) => showParked(database, { key, limit: options.limit })));
      const shown = records.map((record) => ({ ...record, value: record.value?.toString('utf8') ?? null }));
      output.result(records.length === 0 ? `${key} is not parked` : shown.map(formatRecord).join('\n'), shown);
      if (records.length === 0) process.exitCode = 1;
      tellSilent(silent);
    });

  releaseCommand(parked, 'retry', 'try the waiting records of a key again, in order');
  releaseCommand(parked, 'skip', 'refuse the first waiting record of a key for good, then try the others');
}

function releaseCommand(parked: Command, action: ReleaseAction, description: string): void {
  parked
    .command(action)
    .description(description)
    .argument('<key>', 'the routing key: tenant/id')
    .action(async (key: string, _options: unknown, command: Command) => {
      const { output, target } = contextOf(command);
      const released = await connected(target(), (connections) => release(connections, { key, action }));
      output.result(`${action} of ${key} is in the log: ${released.stream} slot ${released.slot}, offset ${released.offset}. See: millrace parked show ${key}`, released);
    });
}

interface Released {
  readonly stream: Stream;
  readonly slot: number;
  readonly offset: bigint;
}

async function release(connections: Connections, order: { readonly key: string; readonly action: ReleaseAction }): Promise<Released> {
  const { kafka, topicPrefix } = connections;
  const { found: [head], silent } = await onEachShard(connections, (database) => showParked(database, { key: order.key, limit: 1 }));
  if (head === undefined && silent.length > 0) throw new UsageError(`${order.key} is not parked on the shards that answer; ${silent.join('; ')}`);
  if (head === undefined) throw new UsageError(`${order.key} is not parked: see \`millrace parked list\``);
  const { slot, stream } = head;
  const record = releaseRecord({ ...order, slot, id: randomUUID() });
  const log = createLog({ name: 'millrace-cli', level: 'silent' });
  const lanes = await createLanes({ kafka, topic: topicNames(topicPrefix)[stream], log, limits: LANE });
  try {
    const { offset } = await lanes.send(record);
    return { stream, slot, offset };
  } finally {
    await lanes.close();
  }
}

interface Found<T> {
  readonly found: readonly (T & { readonly shard: ShardId })[];
  /** What each shard that does not answer says instead. */
  readonly silent: readonly string[];
}

async function onEachShard<T extends object>(
  { shards }: Connections,
  ask: (database: ReturnType<Connections['shards']['get']>) => Promise<readonly T[]>,
): Promise<Found<T>> {
  const silent: string[] = [];
  const onShard = async (shard: ShardId): Promise<Found<T>['found']> => {
    try {
      return (await ask(shards.get(shard))).map((one) => ({ ...one, shard }));
    } catch (error) {
      if (!(error instanceof PgError) || error.kind !== 'infrastructure') throw error;
      silent.push(`shard ${shard} does not answer: ${error.message}`);
      return [];
    }
  };
  const found = await Promise.all(shards.ids().map(onShard));
  return { found: found.flat(), silent };
}

/** Beside the result, which is whole for the other shards only. */
function tellSilent(silent: readonly string[]): void {
  for (const line of silent) console.error(`millrace: ${line}`);
  if (silent.length > 0) process.exitCode = 1;
}

function formatKey({ shard, slot, stream, key, offset, reason, at, records }: ParkedKeySummary & { readonly shard: ShardId }): string {
  return `${key}  shard ${shard}, ${stream} slot ${slot} offset ${offset}, since ${at.toISOString()}, ${records} waiting: ${reason}`;
}

function formatRecord({ stream, slot, offset, reason, at, value }: Omit<ParkedRecord, 'value'> & { readonly value: string | null }): string {
  return `${stream} slot ${slot} offset ${offset} ${at.toISOString()} ${reason}\n  ${value ?? '(no value)'}`;
}
