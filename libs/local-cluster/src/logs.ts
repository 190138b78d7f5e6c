/** One log file a process; each start begins new ones and keeps the last few. */
import { existsSync, mkdirSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';

const KEPT = 3;

/** x.log becomes x.log.1, x.log.1 becomes x.log.2, and so on up to `KEPT`. */
export function rotateLogs(dir: string): void {
  mkdirSync(dir, { recursive: true });
  for (const name of readdirSync(dir).filter((entry) => entry.endsWith('.log'))) {
    const file = join(dir, name);
    for (let n = KEPT; n > 1; n -= 1) {
      if (existsSync(`${file}.${n - 1}`)) renameSync(`${file}.${n - 1}`, `${file}.${n}`);
    }
    renameSync(file, `${file}.1`);
  }
}
