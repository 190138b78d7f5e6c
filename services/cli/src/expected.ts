/** Errors that tell the user all there is to know; any other one is shown with its stack. */
import { ClusterInUse, DirectoryDenied, DirectoryNotACluster, FileDamaged, LayoutMismatch } from '@millrace/local-cluster';
import { ConfigError } from '@millrace/runtime';
import { InvoiceFileError } from '@millrace/workload';

import { ShardSilent } from './until-applied.ts';
import { UsageError } from './usage-error.ts';

export function isExpected(error: unknown): boolean {
  return [UsageError, ConfigError, ClusterInUse, DirectoryDenied, DirectoryNotACluster, FileDamaged, LayoutMismatch, InvoiceFileError, ShardSilent].some((known) => error instanceof known);
}
