/** Shared services under a real daemon: one that is killed with SIGKILL and its next life, their logs, a drain, and a wipe. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobTaskOutput } from '../../src/contract/job-output.ts';
import { containerName, labels } from '../../src/contract/names.ts';
import { groupOfPlan } from '../../src/policy/service-group.ts';
import { type DaemonGround, openConnectedGround, until } from '../support/daemon-ground.ts';
import { engineCall } from '../support/engine-call.ts';
import { inspectRaw } from '../support/looking.ts';
import { leftOf } from '../support/nosana-ground.ts';
import { type RunningTask, startNodeAgent } from '../support/run-task-process.ts';
import { ask, newRevision, sharingJob, untilAsked } from '../support/sharing-jobs.ts';

let ground: DaemonGround;
let daemon: RunningTask;
let tiny: string;
beforeAll(async () => {
  ({ ground, daemon, tiny } = await openConnectedGround());
});
afterAll(async () => {
  await ground?.close();
});

/** Queues a job of that revision whose task does this. */
async function begin(revision: string, line: string) {
  const plan = sharingJob({ allocation: ground.host.policy.allocation.id, tiny }, revision, line);
  const task = await ground.enqueue('workload.job_launch', plan);
  const isTold = () =>
    ground.sink.records.some(
      ({ kind, body }) =>
        kind === 'task.progress' &&
        body.task_id === task &&
        body.event.type === 'step.started' &&
        body.event.values['step'] === 'task',
    );
  return {
    group: groupOfPlan(plan)?.id ?? '',
    started: async () => await until(isTold, 'the task to start', 60),
    ended: async () => {
      const { failure, output } = await ground.result(task);
      expect(await leftOf(ground.host, plan.identity.job_id)).toEqual([]);
      const { report } = (output ?? {}) as Partial<JobTaskOutput>;
      return { failure, said: report?.steps[0]?.results['said'] ?? [] };
    },
  };
}

async function run(revision: string, line: string) {
  const job = await begin(revision, line);
  return { group: job.group, ...(await job.ended()) };
}

const counterOf = async (group: string) => (await inspectRaw(ground.host, containerName(group, 'counter'))).Id;

/** Every container of services of this host, of whichever group. */
async function shared(): Promise<string[]> {
  const filters = JSON.stringify({ label: [`${labels.allocation}=${ground.host.policy.allocation.id}`] });
  const path = `/containers/json?all=1&filters=${encodeURIComponent(filters)}`;
  const { body } = await engineCall<{ Id: string; Labels: Record<string, string> }[]>(
    ground.host.engineSocket,
    ...(['GET', path] as const),
  );
  return body.filter(({ Labels }) => Labels[labels.service] === 'counter').map(({ Id }) => Id);
}

async function killAndBegin(): Promise<void> {
  daemon.child.kill('SIGKILL');
  expect((await daemon.ended).signal).toBe('SIGKILL');
  daemon = ground.start();
}

const drain = async (on: boolean) => await ground.run('agent.drain', { drain: on, reason: on ? 'a new driver' : '' });
const untilGone = async (group: string) =>
  await until(async () => (await leftOf(ground.host, group)).length === 0, 'nothing to be left of the group', 60);

describe('services that jobs share', () => {
  it('are the same after the agent was killed, for the job that goes on and for the next one', async () => {
    const revision = newRevision();
    const going = await begin(revision, `${ask}; ${untilAsked(2)}; echo done`);
    await going.started();
    const before = await counterOf(going.group);

    await killAndBegin();
    const both = [await run(revision, ask), await going.ended()];

    expect(both.map(({ failure }) => failure)).toEqual([null, null]);
    // Whoever asked first.
    expect(both.flatMap(({ said }) => said).sort()).toEqual(['1', '2', 'done']);
    expect(await shared()).toEqual([before]);
    await drain(true);
    await untilGone(going.group);
    await drain(false);
  });

  it('are one group where the agent is killed while they begin', async () => {
    const revision = newRevision();
    const going = await begin(revision, `${ask}; echo done`);
    await until(async () => (await shared()).length === 1, 'the service to be made', 60);

    await killAndBegin();

    expect(await going.ended()).toEqual({ failure: null, said: ['1', 'done'] });
    expect(await shared()).toEqual([await counterOf(going.group)]);
    await drain(true);
    await untilGone(going.group);
    await drain(false);
  });

  it('that an earlier life of the agent has left are taken away by a drain', async () => {
    const { group, failure } = await run(newRevision(), ask);
    const before = await counterOf(group);

    await killAndBegin();
    await ground.run('agent.drain', { drain: false, reason: '' });
    expect([failure, await counterOf(group)]).toEqual([null, before]);
    await drain(true);

    await untilGone(group);
    await drain(false);
  });

  it('have logs under the name of their group, until a wipe takes them away', async () => {
    const { group, failure } = await run(newRevision(), ask);
    const logs = async () =>
      (await startNodeAgent(['logs', group, '--service', 'counter', '--config', ground.configFile]).ended).stdout;

    expect([failure, await logs()]).toEqual([null, expect.stringContaining('counting')]);
    expect((await ground.run('agent.wipe', {})).failure).toBeNull();

    expect(await leftOf(ground.host, group)).toEqual([]);
  });
});
