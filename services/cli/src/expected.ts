/** Errors that tell the user all there is to know; any other one is shown with its stack. */
import { ClusterInUse, DirectoryDenied, LayoutMismatch } from '@millrace/local-cluster';
import { ConfigError } from '@millrace/runtime';
import { InvoiceFileError } from '@millrace/workload';

import { UsageError } from './usage-error.ts';

export function isExpected(error: unknown): boolean {
  return [UsageError, ConfigError, ClusterInUse, DirectoryDenied, LayoutMismatch, InvoiceFileError].some((known) => error instanceof known);
}
