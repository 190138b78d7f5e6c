/** Downloads that outlive a clone. */
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

/** `$XDG_CACHE_HOME/millrace`, or `~/.cache/millrace` (the XDG specification ignores relative values). */
export function cacheDir(env: NodeJS.ProcessEnv = process.env): string {
  const wished = env['XDG_CACHE_HOME'];
  const base = wished !== undefined && isAbsolute(wished) ? wished : join(homedir(), '.cache');
  return join(base, 'millrace');
}
