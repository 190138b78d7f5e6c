/** What every benchmark gets: the servers that all sides share, a way to start programs, and the options of the run. */
import type { Children } from './children.ts';
import type { Servers } from './servers.ts';
import type { SideResult } from './rounds.ts';

export interface Options {
  readonly rounds: number;
  /** Length of one measurement by time. */
  readonly seconds: number;
  /** Size of one measurement by count. */
  readonly records: number;
  /** Writes of the memory benchmark; its backlog is half of it. */
  readonly memoryRecords: number;
  /** Journal rows of the slot whose move shows the ring-manager's memory. */
  readonly journalRows: number;
}

export interface Bench {
  readonly servers: Servers;
  readonly children: Children;
  readonly options: Options;
  /** For files of the run; logs go to `logs` in it. */
  readonly dir: string;
}

export interface Column {
  readonly metric: string;
  readonly title: string;
}

/** One goal and what was reached. */
export interface Finding {
  readonly what: string;
  readonly goal: string;
  readonly reached: string;
  readonly met: boolean;
}

export interface Report {
  readonly name: string;
  readonly title: string;
  readonly method: string;
  readonly columns: readonly Column[];
  readonly results: readonly SideResult[];
  readonly findings: readonly Finding[];
}
