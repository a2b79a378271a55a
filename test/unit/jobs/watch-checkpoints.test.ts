import { setImmediate } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { openHostJobs } from '../../../src/agent/host-jobs.ts';
import { AgentError, type FailureCode } from '../../../src/contract/failures.ts';
import { watchCheckpoints } from '../../../src/jobs/job-end.ts';
import type { JobOutputs } from '../../../src/jobs/outputs/job-outputs.ts';
import { RunningJob } from '../../../src/jobs/running-job.ts';
import { keptJob, plan, step, stepRecord } from '../../support/job-plans.ts';
import { manualClock } from '../../support/manual-clock.ts';
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
  expect((job.record.warnings ?? []).map((warning) => warning.name)).toEqual(told.map(() => 'ckpt'));
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

it.each([
  ['was read in vain, ever later, until it was kept once', 2 ** 25, [0, 2, 6, 14, 30, 60, 90, 120, 122, 126]],
  ['cost next to nothing, every two seconds', 0, [0, 2, 4, 6, 8, 10, 12, 42, 44, 46]],
])('an unsettled checkpoint is looked at again where the look %s (C-71)', async (_, read_bytes, times) => {
  const over = new AbortController();
  const clock = manualClock();
  const looks: number[] = [];
  const outputs: Partial<JobOutputs> = {
    take: async () => {
      looks.push(clock.monotonicMs() / 1000);
      if (looks.length === 7) return { ...kept };
      throw new AgentError('output.unsettled', { read_bytes });
    },
    of: () => [],
  };
  const { job, events } = jobWith(outputs, ['ckpt']);

  const watching = watchCheckpoints(job, over.signal, clock);
  await clock.advance((times.at(-1) ?? 0) * 1000 + 1);
  over.abort();
  await watching;

  expect(looks).toEqual(times);
  expect(events.map(({ type }) => type)).toEqual(['output.unsettled']);
});

const kept = {
  ...({ name: 'ckpt', kind: 'checkpoint', media_type: 'application/octet-stream', file_name: 'ckpt' } as const),
  ...{ sha256: '0'.repeat(64), bytes: 1 },
};

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
