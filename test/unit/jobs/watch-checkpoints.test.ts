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
  const jobs = openHostJobs({ outputs: outputs as JobOutputs });
  const { context, events } = taskContext(recordingEngine().engine, { jobs });
  const steps = [step('one', { mounts: [{ volume: 'data', path: '/data', read_only: false }] })];
  const planned = { name: 'ckpt', volume: 'data', path: 'ckpt', type: 'checkpoint' as const, required: false };
  const kept = keptJob('running', 'running', {
    plan: plan({ volumes: [{ name: 'data' }], steps, outputs: [planned] }),
  });
  const record = { ...kept.record, steps: { one: stepRecord('one', 'running', { container_id: 'c0' }) } };

  watchCheckpoints(new RunningJob({ ...kept, record }, context), over.signal);
  await looked.promise;
  over.abort();

  expect(events.map(({ type }) => type)).toEqual(told);
});
