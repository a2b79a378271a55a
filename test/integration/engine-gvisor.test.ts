/** What quickstart does to an engine that was on the machine before: it is told of gVisor on request, and left as it was. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chownSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { forgetGvisor, offerGvisor } from '../../bootstrap/dev/engine-gvisor.ts';
import { ensureGvisor, GVISOR_RUNTIME } from '../../bootstrap/dev/gvisor.ts';
import { type PrivateEngine, startPrivateEngine } from '../../bootstrap/dev/private-engine.ts';
import { cacheDir } from '../../bootstrap/dev/state.ts';
import { engineCall } from '../support/engine-call.ts';

const folder = mkdtempSync(join(tmpdir(), 'gpg-'));
const file = join(folder, 'e/run/daemon.json');
const config = {
  labels: ['whose=operators'],
  runtimes: { [GVISOR_RUNTIME]: { path: '/opt/gone/runsc' }, other: { path: '/bin/true' } },
};
let engine: PrivateEngine;
let program: string;

beforeAll(async () => {
  program = await ensureGvisor();
  engine = await startPrivateEngine(join(folder, 'e'));
  // Of a ground that has started and installed nothing.
  vi.stubEnv('GPUAAS_DEV_CACHE', cacheDir());
  vi.stubEnv('GPUAAS_DEV_STATE', join(folder, 'state'));
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await engine?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const theirs = (pidFile = join(folder, 'e/run/engine.pid')) => ({ socketPath: engine.socketPath, file, pidFile });

/** Its file, of a mode and an owner that are not the usual ones, behind a link. */
function writeConfig(): void {
  const target = join(folder, 'operators.json');
  writeFileSync(target, JSON.stringify(config), { mode: 0o600 });
  chownSync(target, 1234, 1234);
  rmSync(file, { force: true });
  symlinkSync(target, file);
}

const written = () => JSON.parse(readFileSync(file, 'utf8'));

async function pathKnown(runtime: string): Promise<string | undefined> {
  type Info = { Runtimes: Record<string, { path: string }> };
  return (await engineCall<Info>(engine.socketPath, 'GET', '/info')).body.Runtimes[runtime]?.path;
}

it('is told when somebody asks for it, and has its file back then', async () => {
  writeConfig();

  const unasked = await offerGvisor(false, theirs());
  const before = written();
  const asked = await offerGvisor(true, theirs());

  expect([unasked, asked]).toEqual([expect.stringMatching(/npm run quickstart -- --gvisor$/), undefined]);
  expect(before).toEqual(config);
  expect(written()).toEqual({ ...config, runtimes: { ...config.runtimes, [GVISOR_RUNTIME]: { path: program } } });
  expect([await pathKnown(GVISOR_RUNTIME), await pathKnown('other')]).toEqual([program, '/bin/true']);
  expect(statSync(file)).toMatchObject({ mode: 0o100600, uid: 1234, gid: 1234 });

  await forgetGvisor(theirs());

  expect(written()).toEqual(config);
  expect(await pathKnown(GVISOR_RUNTIME)).toBe('/opt/gone/runsc');
  expect(statSync(file)).toMatchObject({ mode: 0o100600, uid: 1234, gid: 1234 });
  expect(lstatSync(file).isSymbolicLink()).toBe(true);
});

it('has no file again where it had none', async () => {
  rmSync(file);

  expect(await offerGvisor(true, theirs())).toBeUndefined();
  expect(await pathKnown(GVISOR_RUNTIME)).toBe(program);
  await forgetGvisor(theirs());

  expect(existsSync(file)).toBe(false);
  expect(await pathKnown(GVISOR_RUNTIME)).toBeUndefined();
});

it('is not told where the number of its process is that of another by now', async () => {
  writeConfig();
  const stranger = spawn('sleep', ['600'], { stdio: 'ignore' });
  const pidFile = join(folder, 'old.pid');
  writeFileSync(pidFile, `${stranger.pid}`);

  const reason = await offerGvisor(true, theirs(pidFile));
  stranger.kill('SIGTERM');

  expect(reason).toBe(`${pidFile} names no engine to tell of it`);
  expect(await once(stranger, 'exit')).toEqual([null, 'SIGTERM']);
  expect(written()).toEqual(config);
});
