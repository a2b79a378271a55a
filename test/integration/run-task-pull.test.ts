/** `run-task` with images that have to be pulled: killed in the middle (FAULTS 11), and with a credential. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { unpackPackage } from '../../bootstrap/dev/packages.ts';
import { type PrivateRegistry, startRegistry, TEST_LOGIN } from '../../bootstrap/dev/registry.ts';
import { engineCall } from '../support/engine-call.ts';
import { containerOf, containersNamed } from '../support/looking.ts';
import { startRunTask } from '../support/run-task-process.ts';
import { type LaunchParams, openTestHost, type TestHost } from '../support/test-host.ts';
import { pushFreshImage } from './engine-images.ts';
import { dripBlob, onBlob, type RegistryFront, startRegistryFront } from './engine-registry-front.ts';

let host: TestHost;
let folder: string;
let open: PrivateRegistry;
let locked: PrivateRegistry;
let front: RegistryFront;
let shell: Buffer;
const references: string[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gpuaas-run-pull-'));
  shell = readFileSync(join(await unpackPackage('busybox-static'), 'bin/busybox'));
  [open, locked] = await Promise.all([
    startRegistry(join(folder, 'open')),
    startRegistry(join(folder, 'locked'), { htpasswd: TEST_LOGIN.htpasswd }),
  ]);
  front = await startRegistryFront(open.host);
  host = await openTestHost({
    policy: { registries: [front.host, locked.host].map((name) => ({ host: name, prefixes: [''] })) },
  });
});
afterEach(async () => {
  await host.clear();
  for (const reference of references.splice(0)) {
    await engineCall(host.engineSocket, 'DELETE', `/images/${reference}`);
  }
});
afterAll(async () => {
  await host?.close();
  await Promise.all([front?.close(), open?.stop(), locked?.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

const ready = [{ type: 'exec' as const, command: ['/bin/sh', '-c', 'true'], timeout_seconds: 60 }];

it('killed during the pull and run again pulls again and runs, once (FAULTS 11)', async () => {
  const image = await pushFreshImage(open.host, `fresh/${randomBytes(4).toString('hex')}`, { layers: 2, shell });
  const params = launchOf(`${front.host}/${image.repository}@${image.digest}`);
  const { promise: asked, resolve: sawIt } = Promise.withResolvers<void>();
  front.rule = onBlob(image.layers[0] ?? '', (_request, response) => {
    dripBlob(response);
    sawIt();
  });
  const first = startRunTask(host, { type: 'workload.oci_launch', params });
  await asked;

  first.child.kill('SIGKILL');
  await first.ended;
  front.rule = undefined;
  const again = await startRunTask(host, { type: 'workload.oci_launch', params }).ended;

  expect(again.result).toMatchObject({ status: 'succeeded', output: { state: 'running' } });
  expect(await containersNamed(host, containerOf(params))).toHaveLength(1);
});

it('with a pull credential from a file gets what is refused without, and keeps it nowhere (G-160, G-213)', async () => {
  const { username, password } = TEST_LOGIN;
  const auth = { username, password };
  const image = await pushFreshImage(locked.host, `fresh/${randomBytes(4).toString('hex')}`, { shell, auth });
  const params = launchOf(`${locked.host}/${image.repository}@${image.digest}`);
  const file = join(host.folder, 'credential.json');
  writeFileSync(file, JSON.stringify(auth), { mode: 0o600 });
  const task = { type: 'workload.oci_launch', params };

  const without = await startRunTask(host, task).ended;
  const wrong = await startRunTask(host, task, ['--pull-credential', host.configFile]).ended;
  const withIt = await startRunTask(host, task, ['--pull-credential', file]).ended;
  rmSync(file);

  expect(without.result).toMatchObject({ status: 'failed', failure: { code: 'image.unauthorized' } });
  expect(wrong.code).toBe(2);
  expect(withIt.result).toMatchObject({ status: 'succeeded' });
  expect(`${withIt.stdout}${withIt.stderr}`).not.toContain(password);
  for (const path of ['state', 'gate'].flatMap((name) => filesBelow(join(host.folder, name)))) {
    expect(readFileSync(path, 'utf8').includes(password), path).toBe(false);
  }
});

function launchOf(reference: string): LaunchParams {
  references.push(reference);
  return host.launchParams(reference, { readiness: ready, command: ['kill -STOP $$'] });
}

function filesBelow(path: string): string[] {
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .map((name) => join(path, name))
    .filter((name) => statSync(name).isFile());
}
