import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { hostPolicyOf, loadConfig } from '../../../src/agent/config.ts';
import { openEngine } from '../../../src/cli/engine-access.ts';
import { createLog } from '../../../src/kit/log.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const folder = temporaryFolder('access');
const silent = createLog({ level: 'silent' });
const runDir = join(folder, 'run');
const stateDir = join(folder, 'gate-state');

afterEach(() => vi.unstubAllEnvs());

it('a command that only looks copies no key anywhere, and leaves nothing', async () => {
  const temporary = join(folder, 'tmp');
  mkdirSync(temporary);
  mkdirSync(stateDir, { mode: 0o700 });
  writeFileSync(join(stateDir, 'seal.key'), Buffer.alloc(32, 7), { mode: 0o600 });
  vi.stubEnv('TMPDIR', temporary);

  const access = await openOurs({ lookOnly: true });
  const meanwhile = [namesBelow(temporary), namesBelow(stateDir)];
  await access.close();

  expect(meanwhile).toEqual([
    [expect.stringMatching(/^gpuaas-look-\w+$/), expect.stringMatching(/gate\.sock$/)],
    ['seal.key'],
  ]);
  expect(namesBelow(temporary)).toEqual([]);
});

it('a run takes the place of one that was killed, and leaves nothing there', async () => {
  const socket = join(runDir, 'run-task.sock');
  mkdirSync(runDir, { recursive: true });
  const script = `require('node:net').createServer().listen(${JSON.stringify(socket)}, () => console.log('listens'))`;
  const killed = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(killed.stdout, 'data');
  killed.kill('SIGKILL');
  await once(killed, 'exit');
  const left = namesBelow(runDir);

  const access = await openOurs();
  await access.close();

  expect(left).toEqual(['run-task.sock']);
  expect(namesBelow(runDir)).toEqual([]);
});

async function openOurs(options: { lookOnly?: boolean } = {}) {
  const file = join(folder, 'agent.json');
  const document = {
    allocation: { id: 'alloc-1', user: { uid: 1001, gid: 1002, home: join(folder, 'home') } },
    ...{ state_dir: join(folder, 'state'), run_dir: runDir },
    gate: { socket: join(folder, 'gate.sock'), state_dir: stateDir, engine_socket: join(folder, 'none.sock') },
  };
  writeFileSync(file, JSON.stringify(document));
  const loaded = await loadConfig(file, {});
  return await openEngine(loaded.config, await hostPolicyOf(loaded), silent, options);
}

function namesBelow(root: string): string[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' }).sort();
}
