/**
 * The agent as one executable file: Node itself with the bundle in it (`node --build-sea`).
 *
 * What comes out depends on bundle, Node and processor alone. V8 puts what it has compiled ahead into an order that follows
 * from a random number of its own, so that is given a fixed seed here; only `--random-seed` will do, for V8 takes no compiled
 * code that was made under other flags, and that one is not counted as one. A program so made has a random seed again.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { ReleaseArchitecture } from '../../src/contract/release.ts';
import { run } from './processes.ts';
import { step } from './progress.ts';
import { cacheDir, withLock } from './state.ts';

const root = resolve(import.meta.dirname, '../..');
const sourceMapLine = /\/\/# sourceMappingURL=.*\n$/;

/** Writes the executable of a bundle for a processor, to an absolute path. Compiled code can be put into that of this machine's own only. */
export async function buildBinary(program: string, arch: ReleaseArchitecture, output: string): Promise<void> {
  const executable = await nodeFor(arch);
  // The name of its text is in it, as it is given: this one is the same wherever it is built.
  const work = mkdtempSync(join(tmpdir(), 'gpuaas-sea-'));
  try {
    writeFileSync(join(work, 'node-agent.mjs'), readFileSync(program, 'utf8').replace(sourceMapLine, ''));
    mkdirSync(dirname(output), { recursive: true });
    const config = {
      ...{ main: 'node-agent.mjs', mainFormat: 'module', output, executable },
      // Else NODE_OPTIONS, which anybody may have set, would load code into it.
      ...{ execArgvExtension: 'none', disableExperimentalSEAWarning: true, useCodeCache: arch === process.arch },
    };
    writeFileSync(join(work, 'sea.json'), JSON.stringify(config));
    await promisify(execFile)(process.execPath, ['--random-seed=1', '--build-sea', 'sea.json'], { cwd: work, env: {} });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** The pinned Node for a processor: this one, or what the lockfile names for the other, fetched once. */
export async function nodeFor(arch: ReleaseArchitecture): Promise<string> {
  if (arch === process.arch) return process.execPath;
  const name = `node-linux-${arch}`;
  const { version, integrity } = lockedPackage(name);
  const folder = join(cacheDir(), 'unpacked', `${name}-${version}`);
  const node = join(folder, 'package/bin/node');
  if (existsSync(node)) return node;
  return await withLock(name, async () => {
    if (!existsSync(node))
      await step(`fetching ${name} ${version}`, () => fetchPackage(`${name}@${version}`, integrity, folder));
    return node;
  });
}

async function fetchPackage(spec: string, integrity: string, folder: string): Promise<void> {
  const work = `${folder}.${process.pid}`;
  mkdirSync(work, { recursive: true });
  try {
    const packed = await run('npm', ['pack', spec, '--json', '--loglevel=error', '--pack-destination', work], {
      cwd: work,
    });
    const [{ filename }] = JSON.parse(packed) as [{ filename: string }];
    const hash = `sha512-${createHash('sha512')
      .update(readFileSync(join(work, filename)))
      .digest('base64')}`;
    if (hash !== integrity) throw new Error(`The registry has another ${spec} than package-lock.json names.`);
    await run('tar', ['-xzf', filename, 'package/bin/node', 'package/LICENSE'], { cwd: work });
    rmSync(join(work, filename));
    renameSync(work, folder);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** What the lockfile says of a package at the top of `node_modules`. */
export function lockedPackage(name: string): { readonly version: string; readonly integrity: string } {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  const found = lock.packages[`node_modules/${name}`];
  if (!found) throw new Error(`package-lock.json has no ${name}.`);
  return found;
}
