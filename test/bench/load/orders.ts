/** Load generator: so many orders over keep-alive connections, each as soon as the last is answered. */
import { orderNumbers, orderOf, postOrder, type OrderRun } from '../orders.ts';
import { optionsOf, say } from '../peers/say.ts';
import { openConnection, type Connection } from './connection.ts';

interface Options {
  readonly port: number;
  readonly apiKey: string;
  readonly connections: number;
  readonly orders: number;
  readonly run: OrderRun;
}

const options = optionsOf<Options>();
const numbers = orderNumbers(options.run, options.orders)[Symbol.iterator]();
const connections = await Promise.all(Array.from({ length: options.connections }, () => openConnection({ ...options, onError })));

const cpu = process.cpuUsage();
const startedAt = performance.now();
say('sending');
await Promise.all(connections.map(sendUntilEnd));
const seconds = (performance.now() - startedAt) / 1000;
const { user, system } = process.cpuUsage(cpu);
say('done', { seconds, cpuSeconds: (user + system) / 1e6 });
process.exit(0);

async function sendUntilEnd(connection: Connection): Promise<void> {
  for (let next = numbers.next(); next.done !== true; next = numbers.next()) await sendOne(connection, next.value);
}

function sendOne(connection: Connection, n: number): Promise<void> {
  return new Promise((resolve) => {
    connection.send(postOrder(options, orderOf(options.run, n)), (answer) => {
      if (answer.status !== 202) onError(new Error(`order ${n} was answered ${answer.status}: ${answer.body()}`));
      resolve();
    });
  });
}

function onError(error: Error): void {
  process.stderr.write(`${error.stack ?? error.message}\n`);
  process.exit(1);
}
