/** How long a service that keeps ending waits before it begins again, by a clock that is not the machine's. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { runJob } from '../../../src/jobs/run-job.ts';
import { jobEngine, type Script } from '../../support/job-engine.ts';
import { plan, service } from '../../support/job-plans.ts';
import { taskContext } from '../../support/task-bench.ts';
import { waitOnGlobalTimers } from '../../support/waits.ts';

waitOnGlobalTimers();

beforeEach(() => {
  vi.useFakeTimers();
  // The longest that each may be.
  vi.spyOn(Math, 'random').mockReturnValue(1);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** How the job ends whose service does so each time it is started, and the milliseconds between its starts. */
async function startsOf(script: Script, restart: { policy: 'on_failure' | 'always'; max_retries: number }) {
  const { engine } = jobEngine({ db: script, one: [{}] });
  const starts: number[] = [];
  const { context } = taskContext({
    ...engine,
    // A real disk takes time that this clock does not wait for.
    facts: () => Promise.reject(new Error('nobody asks for the disk')),
    start: async (name, signal) => {
      if (name.endsWith('.db')) starts.push(performance.now());
      await engine.start(name, signal);
    },
  });
  let isOver = false;
  const ended = runJob(plan({ services: [{ ...service('db'), restart }] }), context).finally(() => {
    isOver = true;
  });
  while (!isOver) await vi.advanceTimersToNextTimerAsync();
  const { state, failure } = (await ended).job.record;
  return { state, failure, waits: starts.slice(1).map((at, index) => at - (starts[index] ?? 0)) };
}

it.each([
  ['on_failure', 1],
  ['always', 0],
] as const)('under %s it waits twice as long each time, and never more than a minute (C-31)', async (policy, exit) => {
  const { state, failure, waits } = await startsOf([{ exit }], { policy, max_retries: 8 });

  expect(waits).toEqual([1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
  expect([state, failure?.detail]).toMatchObject(['failed', { service: 'db' }]);
});

it('it is begun again as soon as at first after a minute in which it was well', async () => {
  const well = new Promise<void>((resolve) => setTimeout(resolve, 3000 + 60_000));
  const script = [{ exit: 1 }, { exit: 1 }, { exit: 1, after: well }, { exit: 1 }];

  const { waits } = await startsOf(script, { policy: 'on_failure', max_retries: 4 });

  expect(waits).toEqual([1000, 2000, 61_000, 2000, 4000, 8000]);
});
