import { describe, expect, it } from 'vitest';
import { openHostJobs } from '../../../src/agent/host-jobs.ts';
import { AgentError } from '../../../src/contract/failures.ts';
import { JobTaskOutput } from '../../../src/contract/job-output.ts';
import type { JobPlan } from '../../../src/contract/job-plan.ts';
import { type RecordBody, recordBodies } from '../../../src/contract/records.ts';
import { judge } from '../../../src/contract/validate.ts';
import type { FailedTask } from '../../../src/tasks/failed-task.ts';
import { launchJob } from '../../../src/tasks/workload-job-launch.ts';
import { jobEngine } from '../../support/job-engine.ts';
import { keptJob, plan, step } from '../../support/job-plans.ts';
import { recordingEngine } from '../../support/recording-engine.ts';
import { taskContext } from '../../support/task-bench.ts';
import { toldRecords } from '../../support/told-records.ts';

describe('a plan that cannot be carried out', () => {
  it.each([
    ['contradicts itself', { steps: [step('one', { image: 'other' })] }, 'task.invalid', '/params/steps/0/image'],
    ['asks for a sandbox that is not there', { sandbox: 'gvisor' }, 'sandbox.unavailable', '/params/sandbox'],
  ] as [string, Partial<JobPlan>, string, string][])(
    'because it %s is refused by its path, and the engine is not asked',
    async (_, over, code, path) => {
      const { engine, calls } = recordingEngine();

      await expect(launchJob(plan(over), taskContext(engine).context)).rejects.toMatchObject({
        code,
        detail: { errors: [{ path }] },
      });
      expect(calls).toEqual([]);
    },
  );

  it('is refused before anything of it is kept', async () => {
    const { context } = taskContext(recordingEngine().engine);

    await launchJob(plan({ sandbox: 'gvisor' }), context).catch(() => undefined);

    expect(context.jobs.records.all()).toEqual([]);
  });

  it('is refused with everything that is wrong at once', async () => {
    const { context } = taskContext(recordingEngine().engine);
    const broken = plan({ steps: [step('one', { image: 'other', needs: ['model'] })] });

    await expect(launchJob(broken, context)).rejects.toMatchObject({ detail: { errors: { length: 2 } } });
  });

  it('leaves what runs alone', async () => {
    const { context } = taskContext(recordingEngine().engine);

    await launchJob(plan({ sandbox: 'gvisor' }), context).catch(() => undefined);

    expect(context.jobs.running.has('job-1')).toBe(false);
  });
});

describe('a plan that can be carried out', () => {
  it('is, and the output tells of the job and each of its steps', async () => {
    const { context, phases } = taskContext(jobEngine({}).engine);

    const output = await launchJob(plan(), context);

    expect(output).toMatchObject({
      ...{ state: 'succeeded', summary: 'The job has succeeded: 1 of 1 step has succeeded.', failure: null },
      report: { steps: [{ id: 'one', state: 'succeeded', exit_code: 0 }] },
      cleanup: {
        removed: ['container gpuaas-job-1.one', expect.stringMatching(/^folder /), 'network gpuaas-job-1'],
        failed: [],
      },
    });
    expect(judge(JobTaskOutput, output).ok).toBe(true);
    expect(phases).toEqual(['pulling', 'creating', 'starting', 'running']);
  });

  it('and does not succeed fails the task with what has failed, and the output tells the rest', async () => {
    const { context } = taskContext(jobEngine({ one: [{ exit: 2 }] }).engine);

    const failed: unknown = await launchJob(plan(), context).catch((error: unknown) => error);

    expect(failed).toMatchObject({ name: 'FailedTask', cause: { code: 'step.failed', detail: { exit_code: 2 } } });
    const output = (failed as FailedTask).output(new AgentError('step.failed').toFailure());
    expect(output).toMatchObject({ state: 'failed', report: { steps: [{ state: 'failed' }] } });
    expect(judge(JobTaskOutput, output).ok).toBe(true);
  });

  it('tells whoever follows it of each change', async () => {
    const reports: RecordBody<'job.report'>[] = [];
    const { context } = taskContext(jobEngine({}).engine, {
      jobs: openHostJobs({ journal: { jobs: toldRecords((body) => void reports.push(structuredClone(body))) } }),
    });

    await launchJob(plan(), context);

    const seen = reports.map(({ report }) => `${report.state} ${report.steps[0]?.state}`);
    expect([...new Set(seen)]).toEqual([
      ...['preparing pending', 'running pending', 'running waiting', 'running running'],
      ...['running succeeded', 'succeeded succeeded'],
    ]);
    expect(reports.every((body) => judge(recordBodies['job.report'], body).ok)).toBe(true);
  });

  it('is refused where the host has no room for it, and nothing of it is kept', async () => {
    const { context } = taskContext(jobEngine({}).engine);
    const large = { gpu_count: 0, cpu_cores: 64, memory_gib: 1 };

    await expect(launchJob(plan({ resources: large }), context)).rejects.toMatchObject({ code: 'resources.exceeded' });
    expect(context.jobs.records.all()).toEqual([]);
  });

  it('is refused where there is too little disk for it, and goes on with what was begun whatever there is', async () => {
    const full = async () => Promise.reject(new AgentError('disk.full'));
    const room = {
      make: async () => undefined,
      begin: full,
      look: async () => ({ isShort: false, evictable: 0, held: new Map() }),
    };
    const { context } = taskContext(jobEngine({}).engine, { jobs: openHostJobs({ room }) });

    await expect(launchJob(plan(), context)).rejects.toMatchObject({ code: 'disk.full' });
    expect(context.jobs.records.all()).toEqual([]);
    const begun = keptJob('preparing', 'pending', { task_id: 'task-1' });
    context.jobs.records.begin({ ...begun, record: { ...begun.record, deadline_at: Date.now() + 3_600_000 } });
    expect(await launchJob(plan(), context)).toMatchObject({ state: 'succeeded' });
  });

  it('under an id that is at work already is refused', async () => {
    const { context } = taskContext(jobEngine({}).engine);
    context.jobs.records.begin(keptJob('running', 'running'));

    await expect(launchJob(plan(), context)).rejects.toMatchObject({ code: 'job.running' });
  });

  it('once more under its id begins anew where the first has ended', async () => {
    const { context } = taskContext(jobEngine({}).engine);
    context.jobs.records.begin(keptJob('failed', 'failed'));

    expect(await launchJob(plan(), context)).toMatchObject({ state: 'succeeded' });
    expect(context.jobs.records.all()).toMatchObject([{ task_id: 'task-1' }]);
  });

  it('needs what this process has no means for is refused', async () => {
    const { context } = taskContext(jobEngine({}).engine);
    const outputs = [{ name: 'o', volume: 'v', path: '.', type: 'artifact' as const, required: false }];

    await expect(launchJob(plan({ volumes: [{ name: 'v' }], outputs }), context)).rejects.toMatchObject({
      code: 'task.unsupported',
    });
  });
});
