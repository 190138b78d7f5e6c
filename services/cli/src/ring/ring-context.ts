/** What every ring command gets: the ring-manager to ask, and on a local cluster the supervisor too. */
import type { Command } from 'commander';

import { addEndpointOptions, endpointOf, type Served } from '../api/endpoint.ts';
import { contextOf } from '../context.ts';
import type { Output } from '../output.ts';
import { createAdminClient, type AdminClient } from './admin-client.ts';
import { createLocalShards, type LocalShards } from './local-client.ts';

export interface RingContext {
  readonly output: Output;
  readonly isJson: boolean;
  readonly admin: AdminClient;
  /** Undefined for a cluster that runs elsewhere. */
  readonly local: LocalShards | undefined;
}

const RING_MANAGER: Served = {
  name: 'a ring-manager',
  variable: 'ADMIN_URL',
  example: 'http://ring-manager:8081',
  urlOf: ({ adminUrl }) => adminUrl,
  localUrlOf: ({ admin }) => admin,
};

export function addAdminOptions(ring: Command): Command {
  return addEndpointOptions(ring, RING_MANAGER);
}

/** @throws UsageError that says how to name a cluster. */
export function ringContextOf(command: Command): RingContext {
  const { output, isJson } = contextOf(command);
  const { endpoint, local } = endpointOf(command, RING_MANAGER);
  const shards = local && createLocalShards({ url: local.local, token: local.adminToken, name: 'The local supervisor' });
  return { output, isJson, admin: createAdminClient(endpoint), local: shards };
}
