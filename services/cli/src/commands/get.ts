/** `millrace get`: read from the HTTP API. */
import { toJson } from '@millrace/wire';
import type { Command } from 'commander';

import { contextOf } from '../context.ts';
import { ask } from '../http.ts';
import { gatewayOf } from '../target.ts';

export function getCommand(program: Command): void {
  program
    .command('get')
    .description('read from the HTTP API: accounts/{account}, orders/{order}, transfers/{transfer}, stock/{sku}, payments/{payment}?account=, writes/{receipt}')
    .argument('<path>', 'with or without the /v1')
    .action(async (path: string, _options: unknown, command: Command) => {
      const { output, target } = contextOf(command);
      const { ok, body } = await ask(gatewayOf(target()), { method: 'GET', path: absolute(path) });
      output.result(typeof body === 'string' ? body : toJson(body, 2), body);
      if (!ok) process.exitCode = 1;
    });
}

function absolute(path: string): string {
  const rooted = path.startsWith('/') ? path : `/${path}`;
  return /^\/(v1|docs|openapi\.json)(\/|\?|$)/.test(rooted) ? rooted : `/v1${rooted}`;
}
