/** `millrace write`: one write of any type through the HTTP API, and what became of it: of an order, how it ended. */
import { randomUUID } from 'node:crypto';

import { writeTypes } from '@millrace/domain';
import { parseJson, toJson } from '@millrace/wire';
import type { Command } from 'commander';

import { contextOf, wholeNumber } from '../context.ts';
import { ask, type Answer } from '../http.ts';
import { gatewayOf, type Gateway } from '../target.ts';
import { UsageError } from '../usage-error.ts';

const BULK_PATH = '/v1/writes';
const HELP = `
Types: ${[...writeTypes.keys()].join(', ')}

  millrace write stock.receive '{"sku":"tea","quantity":10}'
  millrace write order.place '{"order":"o-1","account":"alice","currency":"GBP","lines":[{"sku":"tea","quantity":2,"unit_price":"3.50"}]}'
  millrace write order.return '{"order":"o-1","lines":[{"sku":"tea","quantity":1}]}'
  millrace write transfer.place '{"transfer":"t-1","from":"alice","to":"bob","amount":"5.00","currency":"GBP"}'

An order, a return, a transfer and a cancel are waited for until they have ended.`;

interface WriteOptions {
  readonly key: string;
  readonly wait: number;
}

export function writeCommand(program: Command): void {
  program
    .command('write')
    .description('post one write, and show what became of it')
    .argument('<type>', 'such as account.open, order.place, order.return, transfer.place')
    .argument('<json>', 'its data, such as {"account":"alice","currency":"GBP"}')
    .option('--key <idempotency-key>', 'the same for every retry of this write (default: a new one)', randomUUID())
    .option('--wait <seconds>', 'for the outcome; 0: only the receipt', wholeNumber(0, 60), 10)
    .addHelpText('after', HELP)
    .action(async (type: string, json: string, options: WriteOptions, command: Command) => {
      const { output, target } = contextOf(command);
      const answer = await write(gatewayOf(target()), { type, data: dataOf(json), key: options.key, wait: options.wait });
      output.result(toJson(answer.body, 2), answer.body);
      if (!answer.ok) process.exitCode = 1;
    });
}

interface Write {
  readonly type: string;
  readonly data: unknown;
  readonly key: string;
  readonly wait: number;
}

/** As a bulk body of one line, which takes every type alike; then the status of its receipt. */
async function write(gateway: Gateway, { type, data, key, wait }: Write): Promise<Answer> {
  const line = toJson({ type, idempotency_key: key, data });
  const posted = await ask(gateway, { method: 'POST', path: BULK_PATH, body: `${line}\n`, contentType: 'application/x-ndjson' });
  const receipt = receiptOf(posted.body);
  if (receipt === undefined) return { ...posted, ok: false };
  if (wait === 0) return posted;
  return await ask(gateway, { method: 'GET', path: `/v1/writes/${receipt}`, waitSeconds: wait });
}

function receiptOf(body: unknown): string | undefined {
  const hasReceipt = typeof body === 'object' && body !== null && 'receipt' in body;
  return hasReceipt && typeof body.receipt === 'string' ? body.receipt : undefined;
}

function dataOf(json: string): unknown {
  try {
    return parseJson(json);
  } catch (cause) {
    throw new UsageError(`The data is not JSON: ${json}`, { cause });
  }
}
