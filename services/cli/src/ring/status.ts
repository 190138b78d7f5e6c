/** `millrace ring status`: members, plans and moves. */
import { sleep } from '@millrace/runtime';
import type { Command } from 'commander';

import { listenForStop } from '../stop-signal.ts';
import type { AdminClient } from './admin-client.ts';
import { isPassing, messageOf } from '../api/api-error.ts';
import { ringContextOf } from './ring-context.ts';
import { statusText, type RingStatus } from './status-view.ts';

const LOOK_EVERY_MS = 1_000;
const CLEAR_SCREEN = '\u001b[H\u001b[2J';

export function statusRingCommand(ring: Command): void {
  ring
    .command('status')
    .description('the shards with their weights and slots, the plans and the moves under way')
    .option('--watch', 'look again and again, until Ctrl-C')
    .action(async ({ watch = false }: { readonly watch?: boolean }, command: Command) => {
      const { admin, output, isJson } = ringContextOf(command);
      const { signal } = listenForStop(() => undefined);
      const clear = watch && !isJson && process.stdout.isTTY ? CLEAR_SCREEN : '';
      do {
        try {
          const status = await look(admin);
          output.result(`${clear}${statusText(status)}`, status);
        } catch (error) {
          if (!watch || !isPassing(error)) throw error;
          output.say(`${clear}${messageOf(error)}`); // it may be back at the next look
        }
        if (watch) await sleep(LOOK_EVERY_MS, signal).catch(() => undefined);
      } while (watch && !signal.aborted);
    });
}

async function look(admin: AdminClient): Promise<RingStatus> {
  const [{ epoch, slots }, leader, shards, plans, moves] = await Promise.all([admin.topology(), admin.leader(), admin.shards(), admin.plans(), admin.moves({ open: true })]);
  return { epoch, slots, leader, shards, plans, moves };
}
