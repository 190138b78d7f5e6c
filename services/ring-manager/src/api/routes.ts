/** The admin API, route by route. */
import type { ControlContext } from '../control/context.ts';
import type { Topology } from '@millrace/ring';
import { moveRoutes } from './moves.ts';
import { planRoutes } from './plans.ts';
import type { Route } from '@millrace/admin';
import { shardRoutes } from './shards.ts';
import { topologyRoutes } from './topology.ts';

export interface RoutesInput extends ControlContext {
  /** The newest that this process knows, for when the control database does not answer. */
  readonly topology: () => Topology;
}

export function routesOf(input: RoutesInput): readonly Route[] {
  return [...topologyRoutes(input), ...shardRoutes(input), ...planRoutes(input), ...moveRoutes(input)];
}
