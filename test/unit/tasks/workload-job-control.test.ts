import { describe, expect, it } from 'vitest';
import { JobTaskOutput } from '../../../src/contract/job-output.ts';
import { maxFrameBytes } from '../../../src/contract/signing.ts';
import { judge } from '../../../src/contract/validate.ts';
import { controlJob } from '../../../src/tasks/workload-job-control.ts';
import { jobIdentity, keptJob } from '../../support/job-plans.ts';
import { recordingEngine } from '../../support/recording-engine.ts';
import { taskContext } from '../../support/task-bench.ts';

const { project_id, job_id, allocation_id } = jobIdentity;
const cancel = { identity: { project_id, job_id, allocation_id }, action: 'cancel' } as const;

describe('cancelling', () => {
  it('a job that is at work asks it to end, and answers when it has', async () => {
    const { context } = bench();
    context.jobs.records.begin(keptJob('running', 'running'));
    const order: string[] = [];
    const job = context.jobs.running.run(job_id, async (cancelled) => {
      await new Promise((resolve) => cancelled.addEventListener('abort', resolve));
      order.push('asked');
      context.jobs.records.put(job_id, keptJob('cancelled', 'cancelled').record);
    });

    const output = await controlJob(cancel, context).finally(() => order.push('answered'));

    expect(order).toEqual(['asked', 'answered']);
    expect(output).toMatchObject({ state: 'cancelled', report: { steps: [{ id: 'one', state: 'cancelled' }] } });
    expect(judge(JobTaskOutput, output).ok).toBe(true);
    await job;
  });

  it('a job that has ended leaves it as it is, however often', async () => {
    const { context, calls } = bench();
    const ended = keptJob('succeeded', 'succeeded');
    context.jobs.records.begin(ended);

    await controlJob(cancel, context);

    expect(await controlJob(cancel, context)).toMatchObject({ state: 'succeeded', failure: null });
    expect(context.jobs.records.get(job_id)).toEqual(ended);
    expect(calls).toEqual([]);
  });

  it('a job whose steps have said much tells its end and its receipt all the same', async () => {
    const { context } = bench();
    const { record, ...ended } = keptJob('succeeded', 'succeeded');
    const step = { ...record.steps['one'], results: { x: Array.from({ length: 20 }, () => 'x'.repeat(60_000)) } };
    context.jobs.records.begin({ ...ended, record: { ...record, receipt: 'a.b.c', steps: { one: step as never } } });

    const output = await controlJob(cancel, context);

    expect(Buffer.byteLength(JSON.stringify(output))).toBeLessThan(maxFrameBytes);
    expect(output).toMatchObject({ receipt: 'a.b.c', report: { state: 'succeeded', steps: [{ results: {} }] } });
  });

  it('a job that nobody carries out yet is kept in mind until somebody does', async () => {
    const { context } = bench();
    const { records, running } = context.jobs;
    records.begin(keptJob('preparing', 'pending'));
    const answer = controlJob(cancel, context);
    const noted = records.get(job_id)?.record.cancelled;

    await running.run(job_id, async () => records.put(job_id, keptJob('cancelled', 'cancelled').record));

    expect(noted).toBe(true);
    expect(await answer).toMatchObject({ state: 'cancelled' });
  });

  it('a job that is not there is refused', async () => {
    await expect(controlJob(cancel, bench().context)).rejects.toMatchObject({ code: 'job.not_found' });
  });

  it('a job of another project is refused, and nothing is told of it', async () => {
    const { context } = bench();
    context.jobs.records.begin(keptJob('running', 'running'));
    const other = { ...cancel, identity: { ...cancel.identity, project_id: 'project-8' } };

    await expect(controlJob(other, context)).rejects.toMatchObject({ code: 'task.untrusted' });
    expect(context.jobs.records.get(job_id)?.record.cancelled).toBe(false);
  });

  it('does not wait longer than its own time', async () => {
    const over = new AbortController();
    const { context } = bench(over.signal);
    context.jobs.records.begin(keptJob('running', 'running'));
    const answer = controlJob(cancel, context);

    over.abort(new Error('its time is over'));

    await expect(answer).rejects.toThrow('its time is over');
  });
});

function bench(signal = new AbortController().signal) {
  const { engine, calls } = recordingEngine();
  return { ...taskContext(engine, { signal }), calls };
}
