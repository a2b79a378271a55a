/**
 * The daemon killed with SIGKILL between two calls of the engine, and started again (FAULTS 12, 14). Its gate is a part of
 * it here, as on a host without one, and dies with it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { ensureEngine } from '../../bootstrap/dev/engine.ts';
import { type DaemonGround, openDaemonGround, outputOf } from '../support/daemon-ground.ts';
import { type EngineFront, startEngineFront } from '../support/engine-front.ts';
import { containerOf, containersNamed, inspectRaw, networksOf } from '../support/looking.ts';
import type { RunningTask } from '../support/run-task-process.ts';
import { readyAtOnce } from '../support/test-host.ts';

let folder: string;
let front: EngineFront;
let ground: DaemonGround;
let daemon: RunningTask;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gpuaas-front-'));
  front = await startEngineFront(join(folder, 'engine.sock'), (await ensureEngine()).socketPath);
  ground = await openDaemonGround({}, (host) => ({
    gate: {
      ...{ socket: join(host.folder, 'no-gate.sock'), state_dir: join(host.folder, 'gate') },
      engine_socket: front.socketPath,
    },
  }));
  daemon = ground.start();
  await ground.connected();
});
afterEach(async () => {
  front.release();
  await ground.host.clear();
});
afterAll(async () => {
  await ground?.close();
  await front?.close();
  rmSync(folder, { recursive: true, force: true });
});

const startCall = /\/containers\/[^/]+\/start$/;

it.each([
  ['between create and start: adopted, and started once (FAULTS 12)', 'request', 'created'],
  ['after the start, before the journal knew: adopted as it is (FAULTS 14)', 'answer', 'running'],
] as const)('SIGKILL %s', async (_when, what, status) => {
  const params = ground.host.launchParams(await ground.host.image('tiny'), {
    readiness: readyAtOnce,
  });
  const name = containerOf(params);
  const held = front.hold(what, 'POST', startCall);
  const taskId = await ground.enqueue('workload.oci_launch', params);
  await held;
  daemon.child.kill('SIGKILL');
  expect((await daemon.ended).signal).toBe('SIGKILL');
  const before = await inspectRaw(ground.host, name);
  expect(before.State.Status).toBe(status);

  daemon = ground.start();
  const output = outputOf(await ground.result(taskId));

  const after = await inspectRaw(ground.host, name);
  expect(output).toMatchObject({ state: 'running', adapter: { adopted: true, container_id: before.Id } });
  expect(await containersNamed(ground.host, name)).toEqual([before.Id]);
  expect(await networksOf(ground.host, name)).toHaveLength(1);
  expect(front.reached.filter((line) => line.endsWith(`/containers/${before.Id}/start`))).toHaveLength(1);
  expect(ground.sink.ended.filter(({ id }) => id === taskId)).toHaveLength(1);
  expect(after.State.Status).toBe('running');
  if (status === 'running') {
    expect(after.State.Pid).toBe(before.State.Pid);
  }
});
