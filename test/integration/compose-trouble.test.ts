/** What can go wrong while Compose is at work, with real parts: the gate refuses, the engine goes away, the agent is killed. */
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { ensureEngine } from '../../bootstrap/dev/engine.ts';
import type { WorkloadComposeLaunchParams } from '../../src/contract/workload-compose-launch.ts';
import type { WorkloadEvent } from '../../src/contract/workload-output.ts';
import { workloadRoot } from '../../src/policy/host-policy.ts';
import { composeRuns } from '../support/compose-runs.ts';
import { type DaemonGround, openConnectedGround, until } from '../support/daemon-ground.ts';
import { type EngineFront, startEngineFront } from '../support/engine-front.ts';
import { networksOf } from '../support/looking.ts';
import { containersOf, realStack, sleeper, succeededStack } from '../support/real-stack.ts';
import type { RunningTask } from '../support/run-task-process.ts';
import type { TestHost } from '../support/test-host.ts';

let folder: string;
let front: EngineFront;
let ground: DaemonGround;
let daemon: RunningTask;
let host: TestHost;
let tiny: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gpct-'));
  await openFront();
  ({ ground, daemon, tiny } = await openConnectedGround({ engineSocket: front.socketPath }));
  host = ground.host;
});
afterEach(async () => await host.clear());
afterAll(async () => {
  await ground?.close();
  await front?.close();
  rmSync(folder, { recursive: true, force: true });
});

async function openFront(): Promise<void> {
  front = await startEngineFront(join(folder, 'engine.sock'), (await ensureEngine()).socketPath);
}

/** `web` is started when `db` is well, and that is when the test says so. */
function slowStack(): WorkloadComposeLaunchParams {
  const test = ['CMD', '/bin/test', '-f', '/data/ok'];
  const healthcheck = { test, interval: '1s', timeout: '5s', retries: 100, start_period: '600s' };
  const mount = (source: string) => [{ type: 'volume', source, target: '/data', read_only: false } as const];
  return realStack(host, {
    db: sleeper(tiny, { healthcheck, volumes: mount('data') }),
    web: sleeper(tiny, { volumes: mount('pages'), depends_on: { db: { condition: 'service_healthy' } } }),
  });
}

const scratchOf = ({ identity }: WorkloadComposeLaunchParams) => workloadRoot(host.policy, identity.app_instance_id);

function letItBeReady(params: WorkloadComposeLaunchParams): void {
  mkdirSync(join(scratchOf(params), 'data'), { recursive: true });
  writeFileSync(join(scratchOf(params), 'data/ok'), '');
}

const dbIsStarted = ({ type, values }: WorkloadEvent) => type === 'service.started' && values['service'] === 'db';

it('a start that the gate refuses in the middle of it fails the launch with the code of the gate, and nothing is left', async () => {
  const params = slowStack();
  const outside = join(folder, 'outside');
  mkdirSync(outside);
  writeFileSync(join(outside, 'other.txt'), 'of somebody else');

  const result = await host.run('workload.compose_launch', params, {
    onEvent: (event: WorkloadEvent) => {
      if (!dbIsStarted(event)) return;
      renameSync(join(scratchOf(params), 'pages'), join(folder, 'aside'));
      symlinkSync(outside, join(scratchOf(params), 'pages'));
      letItBeReady(params);
    },
  });

  expect(result).toMatchObject({
    ...{ status: 'failed', failure: { code: 'mount.refused', detail: { reason: expect.stringContaining('pages') } } },
    output: { state: 'failed' },
  });
  expect(await containersOf(host, params)).toEqual(new Map());
  expect(await networksOf(host, `gpuaas-${params.identity.app_instance_id}`)).toEqual([]);
  expect(composeRuns(params.identity.app_instance_id)).toEqual([]);
  expect(readdirSync(outside)).toEqual(['other.txt']);
});

it('an engine that goes away in the middle of it is waited for, and each container is there once', async () => {
  const params = slowStack();
  const { promise: started, resolve } = Promise.withResolvers<void>();
  const events: WorkloadEvent[] = [];
  const launching = host.run('workload.compose_launch', params, {
    onEvent: (event: WorkloadEvent) => {
      events.push(event);
      if (dbIsStarted(event)) resolve();
    },
  });
  await started;
  await front.close();
  const before = new Map<string, { readonly id: string }>();
  await until(() => composeRuns(params.identity.app_instance_id).length === 0, 'Compose to notice');
  await openFront();
  for (const [service, container] of await containersOf(host, params)) before.set(service, container);
  letItBeReady(params);

  succeededStack(await launching);

  const after = await containersOf(host, params);
  expect([...after].map(([service, { state }]) => `${service} ${state}`).sort()).toEqual(['db running', 'web running']);
  expect(before.size).toBe(2);
  for (const [service, { id }] of before) expect(after.get(service)?.id).toBe(id);
  expect(events.map(({ type }) => type)).toContain('engine.away');
});

it('a Compose that has survived the kill of the daemon is ended by the next one, which goes on with the launch', async () => {
  const params = slowStack();
  const instance = params.identity.app_instance_id;
  const task = await ground.enqueue('workload.compose_launch', params);
  const isDbUp = async () => (await containersOf(host, params)).get('db')?.state === 'running';
  await until(isDbUp, 'db to run');
  const [survivor] = composeRuns(instance);
  // It would end by itself as soon as it has something to say, since nobody reads that any more.
  process.kill(-(survivor ?? 0), 'SIGSTOP');
  daemon.child.kill('SIGKILL');
  await daemon.ended;
  const before = await containersOf(host, params);
  expect(composeRuns(instance)).toEqual([survivor]);

  daemon = ground.start();
  await until(() => !composeRuns(instance).includes(survivor ?? 0), 'the Compose of the killed daemon to end');
  letItBeReady(params);

  succeededStack(await ground.result(task));
  const after = await containersOf(host, params);
  expect(after.get('db')?.id).toBe(before.get('db')?.id);
  expect([...after.values()].map(({ state }) => state)).toEqual(['running', 'running']);
});
