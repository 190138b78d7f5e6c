/** What this machine is, and where npm put Node 24 for it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { SetupError } from './process.mjs';

const NODE_MIN = 20;
const ARCHITECTURES = ['x64', 'arm64'];

/** @throws SetupError that says what would do. */
export function checkPlatform() {
  const { platform, arch, versions } = process;
  if (platform !== 'linux' || !ARCHITECTURES.includes(arch)) {
    throw new SetupError(
      `Millrace's local cluster runs on Linux x64 and arm64; this machine is ${platform} ${arch}.\n` +
        'Use a Linux machine, a virtual one, WSL 2, or a container.',
    );
  }
  if (isMusl()) {
    throw new SetupError('This Linux uses musl (Alpine); the Postgres and Node that npm brings need glibc: use Debian, Ubuntu or Fedora.');
  }
  if (Number(versions.node.split('.')[0]) < NODE_MIN) {
    throw new SetupError(`Node ${versions.node} is too old to begin with: install Node ${NODE_MIN} or later (npm then brings Node 24).`);
  }
}

/** @throws SetupError where npm left the optional package out. */
export function node24(root) {
  const node = join(root, 'node_modules', `node-linux-${process.arch}`, 'bin', 'node');
  if (!existsSync(node)) throw new SetupError(`${node} is missing. Run: npm ci --include=optional`);
  return node;
}

function isMusl() {
  return process.report.getReport().header.glibcVersionRuntime === undefined;
}
