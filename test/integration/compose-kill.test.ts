/** `node-agent run-task` killed with SIGKILL while it launches a stack, and the same task run again (FAULTS 12 to 14). */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { WorkloadComposeLaunchParams } from '../../src/contract/workload-compose-launch.ts';
import { workloadRoot } from '../../src/policy/host-policy.ts';
import { eventually } from '../support/eventually.ts';
import { networksOf } from '../support/looking.ts';
import { containersOf, realStack, sleeper, succeededStack } from '../support/real-stack.ts';
import { startRunTask } from '../support/run-task-process.ts';
import { openTestHost, type TestHost } from '../support/test-host.ts';

let host: TestHost;
let tiny: string;

beforeAll(async () => {
  host = await openTestHost();
  tiny = await host.image('tiny');
});
afterEach(async () => await host.clear());
afterAll(async () => await host?.close());

const launch = (params: WorkloadComposeLaunchParams) => ({ type: 'workload.compose_launch', params });

/** `web` is well, and so the stack ready, when the test says so: no run can end before it is killed. */
function slowStack(): WorkloadComposeLaunchParams {
  const test = ['CMD', '/bin/test', '-f', '/data/ok'];
  const healthcheck = { test, interval: '1s', timeout: '5s', retries: 100, start_period: '600s' };
  const volumes = [{ type: 'volume', source: 'data', target: '/data', read_only: false } as const];
  const web = sleeper(tiny, { healthcheck, volumes, depends_on: { db: { condition: 'service_started' } } });
  return realStack(host, { db: sleeper(tiny), web });
}

function letItBeReady({ identity }: WorkloadComposeLaunchParams): void {
  const folder = join(workloadRoot(host.policy, identity.app_instance_id), 'data');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'ok'), '');
}

const moments = {
  pulling: 'The workload is pulling.',
  creating: 'The workload is creating.',
  'between the creates': 'db is created.',
  'between the starts': 'db is started.',
  probing: 'The workload is probing.',
};

describe('SIGKILL in the middle of a launch, then the same task again', () => {
  it.each(Object.entries(moments))('%s: each container once, all running', async (_when, said) => {
    const params = slowStack();

    const first = startRunTask(host, launch(params));
    await first.saw(said);
    first.child.kill('SIGKILL');
    await first.ended;
    const left = await containersOf(host, params);
    const again = startRunTask(host, launch(params));
    await again.saw('The workload is probing.');
    letItBeReady(params);
    const { result } = await again.ended;

    expect(succeededStack(result).topology.services).toMatchObject([{ state: 'running' }, { state: 'running' }]);
    const there = await containersOf(host, params);
    expect([...there.values()].map(({ state }) => state)).toEqual(['running', 'running']);
    for (const [service, { id }] of left) {
      expect(there.get(service)?.id).toBe(id);
    }
    expect(await networksOf(host, `gpuaas-${params.identity.app_instance_id}`)).toHaveLength(1);
  });

  it('and cancelled then: nothing is left of either run', async () => {
    const params = slowStack();
    const first = startRunTask(host, launch(params));
    await first.saw('db is started.');
    first.child.kill('SIGKILL');
    await first.ended;

    const again = startRunTask(host, launch(params));
    await again.saw('The workload is probing.');
    again.child.kill('SIGINT');
    const { result } = await again.ended;

    expect(result).toMatchObject({ status: 'cancelled' });
    await eventually(async () => expect(await containersOf(host, params)).toEqual(new Map()));
    expect(await networksOf(host, `gpuaas-${params.identity.app_instance_id}`)).toEqual([]);
  });
});

it('the command line controls and removes a stack that it has launched', async () => {
  const params = realStack(host, { a: sleeper(tiny), b: sleeper(tiny) });
  const { identity } = params;
  const run = async (type: string, more: object) => {
    const { result } = await startRunTask(host, { type: `workload.compose_${type}`, params: { identity, ...more } })
      .ended;
    return succeededStack(result).state;
  };

  const states = [
    succeededStack((await startRunTask(host, launch(params)).ended).result).state,
    await run('control', { action: 'stop', grace_seconds: 1 }),
    await run('control', { action: 'start', grace_seconds: 1 }),
    await run('remove', { keep_data: false, grace_seconds: 1 }),
  ];

  expect(states).toEqual(['running', 'stopped', 'running', 'removed']);
  expect(await containersOf(host, params)).toEqual(new Map());
});
