/** The agent killed with SIGKILL while a command of a script runs, and its next life: it joins it, and runs nothing twice. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ExeCommand } from '../../src/contract/exe-script.ts';
import type { JobTaskOutput } from '../../src/contract/job-output.ts';
import type { JobPlan } from '../../src/contract/job-plan.ts';
import { type DaemonGround, openConnectedGround, until } from '../support/daemon-ground.ts';
import { plan as planOf, step } from '../support/job-plans.ts';
import { leftOf } from '../support/nosana-ground.ts';
import type { RunningTask } from '../support/run-task-process.ts';

let ground: DaemonGround;
let daemon: RunningTask;
let image: string;

beforeAll(async () => {
  ({ ground, daemon } = await openConnectedGround({}));
  image = await ground.host.image('tiny');
});
afterAll(async () => await ground?.close());

const sh = (line: string): ExeCommand => ({ run: { entry_point: '/bin/sh', args: ['-c', line] } });
const signal = () => AbortSignal.timeout(60_000);

it('joins a command that says nothing, with its exit code, and goes on behind it', async () => {
  const id = 'script-kill';
  const task = await begin(id, [
    sh('echo one | tee -a /golem/work/ran'),
    sh('touch /golem/work/up; until [ -e /golem/work/go ]; do sleep 0.05; done; echo two >> /golem/work/ran'),
    sh('cat /golem/work/ran'),
  ]);
  await isThere(id, 'up');
  await kill();
  daemon = ground.start();
  await until(async () => (await inContainer(id, 'touch', '/golem/work/go')) === 0, 'the agent to be there again');
  const { report } = (await ground.result(task)).output as JobTaskOutput;

  expect(report?.failure).toBeNull();
  expect(report?.steps[0]?.commands).toMatchObject([
    { state: 'succeeded', exit_code: 0, stdout: { text: 'one\n' } },
    { state: 'succeeded', exit_code: 0 },
    { state: 'succeeded', exit_code: 0, stdout: { text: 'one\ntwo\n' } },
  ]);
  expect(report?.steps[0]?.commands?.[1]).not.toHaveProperty('stdout');
  expect(await leftOf(ground.host, id)).toEqual([]);
});

it('takes the exit code of one that has ended meanwhile, and does not run it again', async () => {
  const id = 'script-ended';
  const task = await begin(id, [
    sh('touch /golem/work/up; until [ -e /golem/work/go ]; do sleep 0.05; done; echo ran >> /golem/output/ran; exit 4'),
    sh('echo never'),
  ]);
  await isThere(id, 'up');
  await kill();
  await inContainer(id, 'touch', '/golem/work/go');
  await until(async () => (await inContainer(id, 'test', '-e', '/golem/output/ran')) === 0, 'the command to end');
  daemon = ground.start();
  const { report } = (await ground.result(task)).output as JobTaskOutput;

  expect(report).toMatchObject({
    failure: { code: 'command.failed', detail: { index: 0, exit_code: 4 } },
    steps: [{ commands: [{ state: 'failed', exit_code: 4 }, { state: 'skipped' }] }],
  });
});

it('joins a command that goes on to speak as well: the gate hears it out', async () => {
  const id = 'script-loud';
  const task = await begin(id, [
    sh(
      'touch /golem/work/up; until [ -e /golem/work/go ]; do echo loud; echo >> /golem/work/beats; sleep 0.05; done; exit 3',
    ),
    sh('echo never'),
  ]);
  await isThere(id, 'up');
  await kill();
  const spoken = '[ "$(wc -l < /golem/work/beats)" -ge 20 ]';
  await inContainer(id, 'rm', '/golem/work/beats');
  await until(async () => (await inContainer(id, '/bin/sh', '-c', spoken)) === 0, 'it to have spoken to nobody');
  daemon = ground.start();
  await until(async () => (await inContainer(id, 'touch', '/golem/work/go')) === 0, 'the agent to be there again');
  const { report } = (await ground.result(task)).output as JobTaskOutput;

  expect(report).toMatchObject({
    failure: { code: 'command.failed', detail: { index: 0, exit_code: 3 } },
    steps: [{ commands: [{ state: 'failed', exit_code: 3 }, { state: 'skipped' }] }],
  });
});

async function begin(id: string, script: ExeCommand[]): Promise<string> {
  const { command: _command, ...bare } = step('one', {
    resources: { gpu_count: 0, cpu_cores: 0.5, memory_gib: 0.125 },
  });
  const names = ['output', 'work'];
  const mounts = names.map((volume) => ({ volume, path: `/golem/${volume}`, read_only: false }));
  const base = planOf({
    network: 'none',
    volumes: names.map((name) => ({ name })),
    steps: [{ ...bare, mounts, script }],
  });
  const plan: JobPlan = {
    ...base,
    identity: {
      ...base.identity,
      job_id: id,
      project_id: 'project-1',
      allocation_id: ground.host.policy.allocation.id,
    },
    images: base.images.map((each) => ({
      ...each,
      source: { ...each.source, reference: image } as typeof each.source,
    })),
  };
  return await ground.enqueue('workload.job_launch', plan);
}

/** Exit code; by the test's own gate, whatever becomes of the agent. */
async function inContainer(id: string, ...argv: string[]): Promise<number | undefined> {
  const done = await ground.host.engine.exec(`gpuaas-${id}.one`, argv, { signal: signal() }).catch(() => undefined);
  return done?.exitCode;
}

async function isThere(id: string, name: string): Promise<void> {
  await until(async () => (await inContainer(id, 'test', '-e', `/golem/work/${name}`)) === 0, `${name} to be there`);
}

async function kill(): Promise<void> {
  daemon.child.kill('SIGKILL');
  await daemon.ended;
}
