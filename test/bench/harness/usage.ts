/** Processor time and memory of processes, from /proc. */
import { readFileSync, readdirSync } from 'node:fs';

const TICKS_PER_SECOND = 100;
const PAGE_BYTES = 4096;

/** Seconds of processor time that a process and all its descendants, ended ones included, have used. */
export function cpuSecondsOf(pid: number): number {
  const parents = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    const parent = /^\d+$/.test(name) ? statOf(Number(name))?.parent : undefined;
    if (parent !== undefined) parents.set(parent, [...(parents.get(parent) ?? []), Number(name)]);
  }
  const sum = (of: number): number => (statOf(of)?.seconds ?? 0) + (parents.get(of) ?? []).reduce((total, child) => total + sum(child), 0);
  return sum(pid);
}

/** Resident bytes of one process; undefined once it is gone. */
export function residentBytesOf(pid: number): number | undefined {
  const text = readProc(pid, 'statm');
  return text === undefined ? undefined : Number(text.split(' ')[1]) * PAGE_BYTES;
}

/** Fields of proc(5) stat after the command, which may hold spaces and brackets. */
function statOf(pid: number): { readonly parent: number; readonly seconds: number } | undefined {
  const text = readProc(pid, 'stat');
  if (text === undefined) return undefined;
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const ticks = [11, 12, 13, 14].reduce((sum, index) => sum + Number(fields[index]), 0);
  return { parent: Number(fields[1]), seconds: ticks / TICKS_PER_SECOND };
}

function readProc(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

function isGone(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH');
}
