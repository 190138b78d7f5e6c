/** Peer: Kafka's own producer benchmark with acks=all, on payloads like the gateway's records. No keys, no HTTP, no validation. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ensureKafkaJars } from '@millrace/local-cluster';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { captureRecord } from '../writes.ts';

const PAYLOADS = 10_000;

export interface ProducerPerfOptions {
  readonly dir: string;
  readonly brokers: readonly string[];
  readonly topic: string;
  readonly records: number;
  readonly warmupRecords: number;
}

/** Records per second after the warm-up, as the tool itself reports them. */
export async function producerPerf({ dir, brokers, topic, records, warmupRecords }: ProducerPerfOptions): Promise<number> {
  const { classPath } = await ensureKafkaJars();
  const payloads = join(dir, 'payloads.txt');
  writeFileSync(payloads, Array.from({ length: PAYLOADS }, (_, i) => `${captureRecord('p0', i).value}\n`).join(''));
  const { stdout } = await promisify(execFile)('java', [
    ...['-Xmx512m', '-cp', classPath, 'org.apache.kafka.tools.ProducerPerformance'],
    ...['--bootstrap-server', brokers.join(','), '--topic', topic, '--command-property', 'acks=all'],
    ...['--num-records', String(records + warmupRecords), '--warmup-records', String(warmupRecords)],
    ...['--throughput', '-1', '--payload-file', payloads],
  ]);
  return steadyRate(stdout);
}

/** The tool prints a line for all records, then one for those after the warm-up. */
function steadyRate(output: string): number {
  const rates = [...output.matchAll(/records sent, ([\d.]+) records\/sec .* 99\.9th/g)].map((match) => Number(match[1]));
  const rate = rates.at(-1);
  if (rate === undefined) throw new Error(`the producer benchmark reported nothing:\n${output}`);
  return rate;
}
