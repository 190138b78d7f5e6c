/** Load generator: NDJSON bodies to `POST /v1/writes`, streamed over a few connections, in a process of its own. */
import { once } from 'node:events';
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { optionsOf, say } from '../peers/say.ts';
import { createLines } from './lines.ts';

interface Options {
  readonly port: number;
  readonly apiKey: string;
  readonly run: string;
  readonly connections: number;
  readonly records: number;
  readonly recordsPerRequest: number;
  /** The number of the first write. */
  readonly from: number;
}

const LINES_PER_CHUNK = 256;
const NEWLINE = 10;

const options = optionsOf<Options>();
const lines = createLines(options.run);
const agent = new Agent({ keepAlive: true, maxSockets: options.connections });
const counts = { acked: 0, refused: 0 };
let next = options.from;
const end = options.from + options.records;

setInterval(() => say('progress', { records: counts.acked }), 500).unref();
const cpu = process.cpuUsage();
const startedAt = performance.now();
await Promise.all(Array.from({ length: options.connections }, sendUntilEnd));
const seconds = (performance.now() - startedAt) / 1000;
const { user, system } = process.cpuUsage(cpu);
say('done', { seconds, ...counts, ackedPerSecond: counts.acked / seconds, generatorCores: (user + system) / 1e6 / seconds });
process.exit(0);

async function sendUntilEnd(): Promise<void> {
  while (next < end) {
    const from = next;
    next = Math.min(next + options.recordsPerRequest, end);
    await sendOne(from, next);
  }
}

async function sendOne(from: number, to: number): Promise<void> {
  const headers = { authorization: `Bearer ${options.apiKey}`, 'content-type': 'application/x-ndjson' };
  const request = httpRequest({ host: '127.0.0.1', port: options.port, method: 'POST', path: '/v1/writes', agent, headers });
  const answered = once(request, 'response').then(([response]) => countLines(response as IncomingMessage));
  for (let at = from; at < to; at += LINES_PER_CHUNK) {
    const more = request.write(lines(at, Math.min(LINES_PER_CHUNK, to - at)));
    if (!more) await Promise.race([once(request, 'drain'), answered]);
  }
  request.end();
  await answered;
}

/** Counts answer lines; a line that is not a receipt is an error. */
async function countLines(response: IncomingMessage): Promise<void> {
  if (response.statusCode !== 200) throw new Error(`answered ${response.statusCode}: ${await textOf(response)}`);
  let errors = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, at + 1)) counts.acked += 1;
    for (let at = chunk.indexOf('"error"'); at >= 0; at = chunk.indexOf('"error"', at + 1)) errors += 1;
  }
  if (errors > 0 && counts.refused === 0) process.stderr.write(`${errors} lines were answered by an error\n`);
  counts.refused += errors;
  counts.acked -= errors;
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of response) text += String(chunk);
  return text.slice(0, 500);
}
