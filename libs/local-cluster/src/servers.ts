/** The servers of a local cluster, not started: brokers, the control database, one Postgres a shard. */
import { join } from 'node:path';

import { must } from '@millrace/write';

import { createBrokers, type Broker } from './broker.ts';
import type { Layout } from './layout.ts';
import { createPostgres, type Postgres } from './postgres.ts';
import type { Secrets } from './secrets.ts';

export interface Servers {
  readonly brokers: readonly Broker[];
  readonly control: Postgres;
  readonly shards: readonly Shard[];
}

export interface Shard {
  readonly id: string;
  readonly postgres: Postgres;
}

export interface ServersInput {
  readonly dir: string;
  readonly logDir: string;
  readonly layout: Layout;
  readonly secrets: Secrets;
  readonly durable?: boolean;
}

const CONTROL = 'control';

export function postgresNames(layout: Pick<Layout, 'shards'>): readonly string[] {
  return [CONTROL, ...layout.shards.map(shardName)];
}

export async function createServers(input: ServersInput): Promise<Servers> {
  const { layout } = input;
  const [brokers, control, shards] = await Promise.all([
    brokersOf(input),
    postgresOf(input, CONTROL),
    Promise.all(layout.shards.map((id) => createShard(input, id))),
  ]);
  return { brokers, control, shards };
}

/** The ports in use, by name, as the layout keeps them. */
export function portsOf({ brokers, control, shards }: Servers): Record<string, number> {
  const ports: Record<string, number> = { [control.name]: control.port };
  for (const { postgres } of shards) ports[postgres.name] = postgres.port;
  for (const broker of brokers) {
    ports[broker.name] = broker.port;
    ports[`${broker.name}.controller`] = broker.controllerPort;
  }
  return ports;
}

function brokersOf({ dir, logDir, layout }: ServersInput): Promise<readonly Broker[]> {
  const ports = Array.from({ length: layout.brokers }, (_, index) => ({
    port: layout.ports[`kafka-${index + 1}`],
    controllerPort: layout.ports[`kafka-${index + 1}.controller`],
  }));
  return createBrokers(layout.brokers, { dir: join(dir, 'kafka'), logDir, ports });
}

/** A shard that is not in the layout yet. Its port and passwords are those of an earlier shard of this name, if there was one. */
export async function createShard(input: ServersInput, id: string): Promise<Shard> {
  return { id, postgres: await postgresOf(input, shardName(id)) };
}

/** Where the data of a shard is. */
export function shardDir(dir: string, id: string): string {
  return join(dir, 'postgres', shardName(id));
}

function postgresOf({ dir, logDir, layout, secrets, durable }: ServersInput, name: string): Promise<Postgres> {
  return createPostgres({
    name,
    dir: join(dir, 'postgres', name),
    logDir,
    port: layout.ports[name],
    passwords: must(secrets.passwords[name], `${name} has passwords`),
    durable,
  });
}

function shardName(id: string): string {
  return `shard-${id}`;
}
