import { describe, expect, it } from 'vitest';
import { AgentError } from '../../../src/contract/failures.ts';
import { JobTaskOutput } from '../../../src/contract/job-output.ts';
import { labels } from '../../../src/contract/names.ts';
import { judge } from '../../../src/contract/validate.ts';
import { FailedTask } from '../../../src/tasks/failed-task.ts';
import { removeJob } from '../../../src/tasks/workload-job-remove.ts';
import { jobIdentity, keptJob } from '../../support/job-plans.ts';
import { containerFacts, recordingEngine } from '../../support/recording-engine.ts';
import { taskContext } from '../../support/task-bench.ts';

const { project_id, job_id, allocation_id } = jobIdentity;
const params = { identity: { project_id, job_id, allocation_id } };
const container = 'gpuaas-job-1.one';

describe('removing', () => {
  it('a job that was kept takes away all of it, and forgets it', async () => {
    const { context, containers, networks } = bench();

    const output = await removeJob(params, context);

    expect(output).toMatchObject({
      ...{ state: 'succeeded', summary: 'The job is removed.', report: { steps: [{ id: 'one' }] } },
      cleanup: { removed: [`container ${container}`, 'network gpuaas-job-1'], kept: [], failed: [] },
    });
    expect(judge(JobTaskOutput, output).ok).toBe(true);
    expect([...containers.keys(), ...networks]).toEqual(['gpuaas-notebook-1']);
    expect(context.jobs.records.all()).toEqual([]);
  });

  it('what is not there succeeds', async () => {
    const { context } = bench();
    await removeJob(params, context);

    expect(await removeJob(params, context)).toMatchObject({
      ...{ state: null, report: null, summary: 'There was nothing to remove.' },
      cleanup: { removed: [], failed: [] },
    });
  });

  it('a job that is at work is refused, and left alone', async () => {
    const { context, calls } = bench();
    await context.jobs.running.run(job_id, async () => {
      await expect(removeJob(params, context)).rejects.toMatchObject({ code: 'job.running' });
    });

    expect(calls).toEqual([]);
  });

  it('a job that an earlier life of the agent has begun is refused until it has ended', async () => {
    const { context } = bench();
    context.jobs.records.begin(keptJob('running', 'running'));

    await expect(removeJob(params, context)).rejects.toMatchObject({ code: 'job.running' });
  });

  it('a job of another project is refused', async () => {
    const { context, containers } = bench();
    const other = { identity: { ...params.identity, project_id: 'project-8' } };

    await expect(removeJob(other, context)).rejects.toMatchObject({ code: 'task.untrusted' });
    expect(containers.has(container)).toBe(true);
  });

  it('says what could not be removed, and does not forget the job', async () => {
    const { context } = bench({
      remove: async () => {
        throw new AgentError('engine.timed_out', {});
      },
    });

    const failed: unknown = await removeJob(params, context).catch((error: unknown) => error);

    expect(failed).toBeInstanceOf(FailedTask);
    const output = (failed as FailedTask).output(new AgentError('internal').toFailure());
    expect(output.cleanup?.failed).toEqual([expect.stringContaining(`container ${container}: `)]);
    expect(context.jobs.records.get(job_id)).toBeDefined();
  });
});

/** With the job, which was kept, and somebody else's container. */
function bench(over: Parameters<typeof recordingEngine>[0] = {}) {
  const recorded = recordingEngine(over);
  recorded.containers.set(container, containerFacts({ name: container, labels: { [labels.instance]: job_id } }));
  recorded.containers.set('gpuaas-notebook-1', containerFacts());
  recorded.networks.add('gpuaas-job-1');
  const { context } = taskContext(recorded.engine);
  context.jobs.records.begin(keptJob('succeeded', 'succeeded'));
  return { ...recorded, context };
}
