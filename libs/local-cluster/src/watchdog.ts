/**
 * No child outlives this process, whatever ends it. A shell of a few hundred kilobytes reads a pipe that only this
 * process holds open; when the pipe closes, a kill -9 included, the shell stops every child it was told of, the last
 * one first, each with its own signal and, where that is not enough, with SIGKILL.
 *
 * Children and watchdog lead sessions of their own: a terminal's Ctrl-C reaches neither, so the order of a drain is
 * the supervisor's alone.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { Socket } from 'node:net';

import type { ProcessMark } from './proc.ts';

const GRACE_SECONDS = 15;

/** One line each: `+ pid startTicks SIGNAL` and `- pid startTicks`. The newest stands first in `held`. */
const SCRIPT = `
held=''
running() { # pid ticks
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  set -- "$2" $(printf '%s' "\${stat##*) }")
  [ "$2" != Z ] && [ "$1" = "\${21}" ]
}
while read -r op pid ticks signal; do
  rest=''
  for one in $held; do
    case $one in "$pid:$ticks:"*) ;; *) rest="$rest $one" ;; esac
  done
  held=$rest
  if [ "$op" = + ]; then held="$pid:$ticks:$signal$held"; fi
  if [ "$op" = q ]; then exit 0; fi
done
for one in $held; do
  IFS=: read -r pid ticks signal <<END
$one
END
  running "$pid" "$ticks" || continue
  kill -CONT "$pid"
  kill -"$signal" "$pid"
  turns=0
  while running "$pid" "$ticks" && [ "$turns" -lt ${GRACE_SECONDS * 10} ]; do sleep 0.1; turns=$((turns + 1)); done
  if running "$pid" "$ticks"; then kill -KILL "$pid"; fi
done
`;

interface Watched extends ProcessMark {
  readonly stopSignal: NodeJS.Signals;
}

const watched = new Map<number, Watched>();
let dog: ChildProcess | undefined;

/** From now on the process ends when this one does. */
export function watch(mark: ProcessMark, stopSignal: NodeJS.Signals): void {
  const one = { ...mark, stopSignal };
  watched.set(mark.pid, one);
  if (dog === undefined) release(); // tells the new watchdog of everything, this one included
  else tell(lineOf(one));
}

/** The process has ended: its pid may be used by others. */
export function unwatch(mark: ProcessMark): void {
  watched.delete(mark.pid);
  tell(`- ${mark.pid} ${mark.startTicks}\n`);
  if (watched.size > 0 || dog === undefined) return;
  tell('q\n');
  dog = undefined;
}

function release(): void {
  const fresh = spawn('/bin/sh', ['-c', SCRIPT, 'millrace-watchdog'], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  dog = fresh;
  fresh.stdin?.on('error', () => undefined); // a watchdog that was killed: 'exit' below brings the next
  fresh.once('exit', () => {
    if (dog !== fresh) return;
    dog = undefined;
    if (watched.size > 0) release();
  });
  // Neither keeps this process alive.
  fresh.unref();
  if (fresh.stdin instanceof Socket) fresh.stdin.unref();
  for (const one of watched.values()) tell(lineOf(one));
}

function lineOf(one: Watched): string {
  return `+ ${one.pid} ${one.startTicks} ${one.stopSignal.replace(/^SIG/, '')}\n`;
}

function tell(line: string): void {
  if (dog?.stdin?.writable === true) dog.stdin.write(line);
}
