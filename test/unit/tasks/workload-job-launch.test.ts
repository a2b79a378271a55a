import { describe, expect, it } from 'vitest';
import type { JobPlan } from '../../../src/contract/job-plan.ts';
import { launchJob } from '../../../src/tasks/workload-job-launch.ts';
import { plan, step } from '../../support/job-plans.ts';
import { recordingEngine } from '../../support/recording-engine.ts';
import { taskContext } from '../../support/task-bench.ts';

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
  it('is not, and that is said', async () => {
    const { context } = taskContext(recordingEngine().engine);

    await expect(launchJob(plan(), context)).rejects.toMatchObject({ code: 'task.unsupported' });
  });
});
