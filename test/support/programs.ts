/**
 * The programs that tests start, as users have them: made from the sources once for all files of a run. They start in a third
 * of the processor time that the sources take, and starting programs is much of what the integration tests compute.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { TestProject } from 'vitest/node';
import { runWhenGone } from '../../bootstrap/dev/processes.ts';

const sources = resolve(import.meta.dirname, '../../src/cli');

/** Before all files of a project that has this in its `globalSetup`; what it gives is called after them. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  // Only here: whoever just starts them needs nothing that makes them.
  const { buildAgent, buildGpuaas } = await import('../../bootstrap/dev/build.ts');
  const folder = mkdtempSync(join(tmpdir(), 'gpuaas-programs-'));
  // Some of them run as another user.
  chmodSync(folder, 0o755);
  const release = runWhenGone(['rm', '-rf', '--', folder]);
  const make = async () => void (await Promise.all([buildAgent(folder), buildGpuaas(folder)]));
  await make();
  // Of the sources as they are now: somebody watches and has changed them.
  project.onTestsRerun(make);
  process.env['GPUAAS_TEST_PROGRAMS'] = folder;
  return async () => {
    rmSync(folder, { recursive: true, force: true });
    await release();
  };
}

/** The file that Node runs: the sources themselves where nobody has made programs of them. */
export function programOf(name: 'node-agent' | 'gpuaas'): string {
  const folder = process.env['GPUAAS_TEST_PROGRAMS'];
  return folder === undefined ? join(sources, `${name}.ts`) : join(folder, `${name}.mjs`);
}
