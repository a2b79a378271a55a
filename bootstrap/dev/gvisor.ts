/** gVisor: Debian's `runsc` out of its package, which is not installed on this machine. */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mirror, SUITE } from './images/debian.ts';
import { unpackPackage } from './packages.ts';
import { run } from './processes.ts';
import { step } from './progress.ts';
import { cacheDir, withLock } from './state.ts';

/** Name under which an engine knows the runtime. */
export const GVISOR_RUNTIME = 'runsc';

const trySeconds = 30;

/** Flag for the engine of a test. The program it names is written into `dir`. */
export async function gvisorFlag(dir: string): Promise<string> {
  const program = join(dir, GVISOR_RUNTIME);
  await writeProgram(program, await fetched());
  return `--add-runtime=${GVISOR_RUNTIME}=${program}`;
}

/** Where the program is that `ensureGvisor` makes. */
export const gvisorProgram = () => join(cacheDir(), 'gvisor', GVISOR_RUNTIME);

/** Makes sure that there is a program which engines can have as a runtime, and gives its path. An error where it starts nothing here. */
export async function ensureGvisor(): Promise<string> {
  const program = gvisorProgram();
  if (await isAsWritten(program)) return program;
  return await withLock('gvisor', async () => {
    const runsc = await fetched();
    if (await isAsWritten(program)) return program;
    await mkdir(join(program, '..'), { recursive: true });
    await writeProgram(`${program}.new`, runsc);
    await step('trying gVisor on this kernel', () => tryOut(`${program}.new`));
    await rename(`${program}.new`, program);
    return program;
  });
}

async function fetched(): Promise<string> {
  const root = await unpackPackage('runsc', async () => ({ mirror: await mirror(), suite: SUITE }));
  return join(root, 'usr/bin/runsc');
}

/**
 * As the bootstrap has it. It uses the network of its container as it is: in gVisor's own one nothing starts on recent kernels.
 */
const flags = '--network=host --directfs=false';

async function writeProgram(program: string, runsc: string): Promise<void> {
  await writeFile(program, `#!/bin/sh\nexec ${runsc} ${flags} "$@"\n`, { mode: 0o755 });
}

/** One of an older checkout may have other flags. */
async function isAsWritten(program: string): Promise<boolean> {
  return existsSync(program) && (await readFile(program, 'utf8')).includes(` ${flags} `);
}

/** With a program of this machine, on which the sandbox looks read-only. */
async function tryOut(program: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'gpuaas-gvisor-'));
  try {
    await run(program, ['spec', '-cwd', '/', '--', '/bin/true'], { cwd: folder });
    const file = join(folder, 'config.json');
    const spec = JSON.parse(await readFile(file, 'utf8'));
    await writeFile(file, JSON.stringify({ ...spec, root: { path: '/', readonly: true } }));
    const sandbox = [program, '--root', join(folder, 'state'), '--ignore-cgroups', 'run', `gpuaas-try-${process.pid}`];
    await run('timeout', ['--kill-after=5', `${trySeconds}`, ...sandbox], { cwd: folder });
  } catch (error) {
    throw new Error('no sandbox of gVisor starts on this kernel', { cause: error });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
