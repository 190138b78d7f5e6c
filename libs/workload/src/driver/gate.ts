/**
 * The gate: a write that leans on the end of an order waits here, while everything else goes on at full speed. It costs
 * a read now and then, on connections of its own; the order's end is judged on the way.
 */
import { sleep } from '@millrace/runtime';
import { must } from '@millrace/write';
import { GATE_PAUSE_MS } from '../limits.ts';
import { get } from './post.ts';
import { type EndJudgement, judgeEnd } from './judge.ts';
import type { Node } from './schedule.ts';
import { type Sending, connectionError } from './sender.ts';

/** Asks for the orders of gated writes, in turn, until the counter has nothing left, or `stop`. */
export async function runGatekeeper(sending: Sending): Promise<void> {
  const { counter, tally, stop } = sending;
  for (;;) {
    const node = await counter.takeGated();
    if (!node || stop.aborted) return;
    const end = await endOf(sending, node);
    if (end.is === 'ended') {
      tally.ended(node.work, end.state);
      counter.open(node);
      continue;
    }
    tally.held(end.is === 'open' ? 'order_open' : end.reason);
    await sleep(GATE_PAUSE_MS, stop).catch(() => undefined);
    counter.putBack(node);
  }
}

async function endOf({ pool, apiKey }: Sending, { work }: Node): Promise<EndJudgement> {
  const { order } = must(work.onceEnded, 'who is gated waits for an order');
  try {
    return judgeEnd(await get(pool, { path: `/v1/orders/${encodeURIComponent(order)}`, headers: ['authorization', `Bearer ${apiKey}`] }));
  } catch (error) {
    return { is: 'again', reason: connectionError(error) };
  }
}
