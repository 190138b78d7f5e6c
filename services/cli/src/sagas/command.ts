/** `millrace sagas`: orders, returns and transfers under way: see them, have them sent again, cancel them. */
import { SAGA_STATES } from '@millrace/domain';
import { Option, type Command } from 'commander';

import { addEndpointOptions, endpointOf, type Served } from '../api/endpoint.ts';
import { contextOf, wholeNumber } from '../context.ts';
import { duration, sagaId } from './arguments.ts';
import { createSagaClient, type SagaClient } from './client.ts';
import { listText, sagaText } from './views.ts';

const HELP = `
An order, a return or a transfer is a saga: it has its participants hold what it needs, then confirms all, or gives all
back. One that stays open waits for a participant: its shard is down, or its key is parked (millrace parked list).

  millrace sagas list --older-than 5m     what has not ended, the oldest first, and whom it waits for
  millrace sagas show demo/o-1/order      also demo/o-1/return/r7, demo/t-1/transfer
  millrace sagas retry demo/o-1/order     sends again what is not answered; nothing is done twice
  millrace sagas cancel demo/o-1/order    until everything is held; afterwards it only goes forward`;

const KINDS = ['order', 'return', 'transfer'];
const LIMIT = 100;
const LIMIT_MAX = 100_000;

const ORCHESTRATOR: Served = {
  name: 'a saga-orchestrator',
  variable: 'SAGAS_URL',
  example: 'http://saga-orchestrator:8081',
  urlOf: ({ sagasUrl }) => sagasUrl,
  localUrlOf: ({ sagas: url }) => url,
};

export function sagasCommand(program: Command): void {
  const sagas = addEndpointOptions(program.command('sagas').description('orders, returns and transfers under way, and what they wait for'), ORCHESTRATOR);
  sagas.addHelpText('after', HELP);
  listCommand(sagas);
  showCommand(sagas);
  steerCommand(sagas, 'retry', 'send again what a saga waits for');
  steerCommand(sagas, 'cancel', 'undo a saga that does not hold everything yet');
}

interface ListOptions {
  readonly state?: string;
  readonly kind?: string;
  readonly olderThan?: number;
  readonly limit: number;
}

function listCommand(sagas: Command): void {
  sagas
    .command('list')
    .description('sagas that have not ended, the oldest first, and whom each waits for')
    .addOption(new Option('--state <state>', 'those in this state instead').choices(SAGA_STATES))
    .addOption(new Option('--kind <kind>', 'those of this kind').choices(KINDS))
    .option('--older-than <time>', 'those that began before: 90s, 5m, 2h, 1d', duration)
    .option('--limit <n>', 'how many at most', wholeNumber(1, LIMIT_MAX), LIMIT)
    .action(async (options: ListOptions, command: Command) => {
      const found = await clientOf(command).list(options);
      const filtered = options.state !== undefined || options.kind !== undefined || options.olderThan !== undefined || found.silent_shards.length > 0;
      contextOf(command).output.result(listText(found, { filtered }), found);
    });
}

function showCommand(sagas: Command): void {
  sagas
    .command('show')
    .description('a saga: its parts, its history, and whom it waits for')
    .argument('<id>', 'as the list shows it', sagaId)
    .action(async (id: string, _options: unknown, command: Command) => {
      const saga = await clientOf(command).show(id);
      contextOf(command).output.result(sagaText(saga), saga);
    });
}

function steerCommand(sagas: Command, how: 'retry' | 'cancel', description: string): void {
  sagas
    .command(how)
    .description(description)
    .argument('<id>', 'as the list shows it', sagaId)
    .action(async (id: string, _options: unknown, command: Command) => {
      const answer = await clientOf(command).steer(id, how);
      const { done, saga } = answer;
      const said = done ? `${how} of ${id} is done` : `${how} of ${id} is in the log and not done yet: its shard or the orchestrators are behind, or its key is parked. See: millrace sagas show ${id}`;
      contextOf(command).output.result(saga === undefined ? said : `${said}\n${sagaText(saga)}`, answer);
    });
}

function clientOf(command: Command): SagaClient {
  return createSagaClient(endpointOf(command, ORCHESTRATOR).endpoint);
}
