/**
 * The end of a command that runs on: Ctrl-C, SIGTERM, a closed terminal, or the death of the process that started it
 * and holds the other end of an IPC channel. The first asks for an orderly end; a second one forces it, and the
 * cluster's watchdog then stops what is left.
 */
export interface StopSignal {
  readonly signal: AbortSignal;
  /** Resolves when the end is asked for. */
  readonly asked: Promise<void>;
}

const FORCED_EXIT_CODE = 130;

export function listenForStop(say: (line: string) => void, host: NodeJS.Process = process): StopSignal {
  const abort = new AbortController();
  const asked = new Promise<void>((resolve) => abort.signal.addEventListener('abort', () => resolve(), { once: true }));
  const onSignal = (): void => {
    if (abort.signal.aborted) host.exit(FORCED_EXIT_CODE);
    say('stopping; once more to force it');
    abort.abort(new Error('stopped'));
  };
  host.on('SIGINT', onSignal);
  host.on('SIGTERM', onSignal);
  host.on('SIGHUP', onSignal);
  if (host.channel) {
    host.on('disconnect', () => {
      if (!abort.signal.aborted) abort.abort(new Error('the process that started this one has ended'));
    });
    host.channel.unref();
  }
  return { signal: abort.signal, asked };
}
