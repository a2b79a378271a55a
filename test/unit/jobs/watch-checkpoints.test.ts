import { setImmediate } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { openHostJobs } from '../../../src/agent/host-jobs.ts';
import { AgentError, type FailureCode } from '../../../src/contract/failures.ts';
import { watchCheckpoints } from '../../../src/jobs/job-end.ts';
import type { JobOutputs } from '../../../src/jobs/outputs/job-outputs.ts';
import { RunningJob } from '../../../src/jobs/running-job.ts';
import { keptJob, plan, step, stepRecord } from '../../support/job-plans.ts';
import { recordingEngine } from '../../support/recording-engine.ts';
import { taskContext } from '../../support/task-bench.ts';

it.each<[FailureCode, readonly string[]]>([
  ['engine.unavailable', []],
  ['engine.failed', ['output.failed']],
])('a checkpoint that cannot be read for %s is told of as %j', async (code, told) => {
  const over = new AbortController();
  const looked = Promise.withResolvers<void>();
  const outputs: Partial<JobOutputs> = {
    take: () => Promise.reject(new AgentError(code)),
    of: () => {
      looked.resolve();
      return [];
    },
  };
  const { job, events } = jobWith(outputs, ['ckpt']);

  const watching = watchCheckpoints(job, over.signal);
  await looked.promise;
  over.abort();
  await watching;

  expect(events.map(({ type }) => type)).toEqual(told);
});

it('ends with the look that is under way, and begins no other one', async () => {
  const over = new AbortController();
  const looking = Promise.withResolvers<void>();
  const { promise: read, resolve: go } = Promise.withResolvers<undefined>();
  const order: string[] = [];
  const outputs: Partial<JobOutputs> = {
    take: async ({ name }) => {
      order.push(`look at ${name}`);
      looking.resolve();
      await read;
      order.push('read');
      return undefined;
    },
    of: () => [],
  };
  const watching = watchCheckpoints(jobWith(outputs, ['a', 'b']).job, over.signal).then(() => order.push('over'));
  await looking.promise;

  over.abort();
  await setImmediate();
  go(undefined);
  await watching;

  expect(order).toEqual(['look at a', 'read', 'over']);
});

/** A job that runs, with checkpoints of these names. */
function jobWith(outputs: Partial<JobOutputs>, names: readonly string[]) {
  const jobs = openHostJobs({ outputs: outputs as JobOutputs });
  const { context, events } = taskContext(recordingEngine().engine, { jobs });
  const steps = [step('one', { mounts: [{ volume: 'data', path: '/data', read_only: false }] })];
  const planned = { volume: 'data', path: 'ckpt', type: 'checkpoint' as const, required: false };
  const known = keptJob('running', 'running', {
    plan: plan({ volumes: [{ name: 'data' }], steps, outputs: names.map((name) => ({ name, ...planned })) }),
  });
  const record = { ...known.record, steps: { one: stepRecord('one', 'running', { container_id: 'c0' }) } };
  return { job: new RunningJob({ ...known, record }, context), events };
}
