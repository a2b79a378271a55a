/** A job that an earlier life of the agent had begun: each part goes on where it was, and nothing is done twice. */

import { describe, expect, it } from 'vitest';
import { AgentError } from '../../../src/contract/failures.ts';
import type { JobPlan } from '../../../src/contract/job-plan.ts';
import { labels } from '../../../src/contract/names.ts';
import type { JobRecord, StepRecord } from '../../../src/jobs/job-record.ts';
import { runJob } from '../../../src/jobs/run-job.ts';
import { JobLetGo } from '../../../src/jobs/running-jobs.ts';
import type { ContainerFacts } from '../../../src/runtime/engine.ts';
import { jobEngine, type Script } from '../../support/job-engine.ts';
import { keptJob, plan, service, step, stepRecord } from '../../support/job-plans.ts';
import { containerFacts } from '../../support/recording-engine.ts';
import { taskContext } from '../../support/task-bench.ts';

const started = '2026-11-23T10:00:00.000000000Z';
const before = '2026-11-23T09:00:00.000000000Z';
const name = 'gpuaas-job-1.one';
const running = { attempts: 1, container_id: 'c0', started_at: started, run_started_at: started };
const beingStarted = { attempts: 1, starting: true };

describe('the step that was at work', () => {
  it.each<[string, Partial<StepRecord>, Partial<ContainerFacts> | undefined, readonly string[]]>([
    ['runs: it is adopted', running, { status: 'running' }, []],
    ['has ended meanwhile: it is looked at', running, { status: 'exited', exitCode: 0 }, []],
    ['was decided on and not made: it is made', beingStarted, undefined, [`create ${name}`, `start ${name}`]],
    [
      'was made and not started: it is started',
      beingStarted,
      { status: 'created', startedAt: null },
      [`start ${name}`],
    ],
    ['was started, which nobody wrote down: it is adopted', beingStarted, { status: 'running' }, []],
    ['was started and has ended: it is looked at', beingStarted, { status: 'exited', exitCode: 0 }, []],
    [
      'was to be started again, and was not: it is',
      { attempts: 2, starting: true, run_started_at: before },
      { status: 'exited', exitCode: 1, startedAt: before },
      [`start ${name}`],
    ],
    [
      'was started again: it is adopted',
      { attempts: 2, starting: true, run_started_at: before },
      { status: 'running', startedAt: started },
      [],
    ],
  ])('%s', async (_, of, container, expected) => {
    const { report, done, record } = await resume({ steps: { one: stepRecord('one', 'running', of) } }, container);

    expect(done).toEqual(expected);
    expect(report).toEqual({ job: 'succeeded', one: 'succeeded' });
    expect(record.steps['one']).toMatchObject({ attempts: of.attempts, exit_code: 0 });
  });

  it('runs: what was told of the job before is not told again', async () => {
    const { told } = await resume({ steps: { one: stepRecord('one', 'running', running) } }, { status: 'running' });

    expect(told).toEqual(['job.ended']);
  });

  it('is gone, and nobody saw how it ended: it is lost', async () => {
    const { done, record } = await resume({ steps: { one: stepRecord('one', 'running', running) } }, undefined);

    expect(done).toEqual([]);
    expect(record).toMatchObject({ state: 'failed', failure: { code: 'step.lost' } });
  });

  it('runs on a host that cannot go on with it any more: it is stopped, and the job has failed by that', async () => {
    const {
      context,
      plan: wanted,
      calls,
    } = bench({ steps: { one: stepRecord('one', 'running', running) } }, { status: 'running' });
    const lacking = new AgentError('sandbox.unavailable', { sandbox: 'gvisor', reason: 'It is a runc.' });

    const { job } = await runJob(wanted, { ...context, lacking });

    expect(job.record).toMatchObject({ state: 'failed', failure: { code: 'sandbox.unavailable' } });
    expect(calls.filter((call) => /^(create|start|stop|remove) /.test(call))).toEqual([
      'stop gpuaas-job-1.one 5',
      'remove gpuaas-job-1.one',
    ]);
  });

  it('is another task’s: it is left alone', async () => {
    const others = { status: 'running', labels: { [labels.instance]: 'job-1', [labels.task]: 'task-9' } };
    const { record } = await resume({ steps: { one: stepRecord('one', 'running', running) } }, others);

    expect(record.failure).toMatchObject({ code: 'name.conflict' });
  });

  it('was being stopped: it is stopped, for the same reason', async () => {
    const of = stepRecord('one', 'running', { ...running, ending: 'served' });
    const { report, calls } = await resume({ steps: { one: of } }, { status: 'running' }, { one: [{}] });

    expect(calls).toContain(`stop ${name} 5`);
    expect(report).toEqual({ job: 'succeeded', one: 'succeeded' });
  });

  it('has run past its time meanwhile: it is stopped', async () => {
    const steps = [step('one', { timeout_seconds: 60 })];
    const of = { one: stepRecord('one', 'running', running) };
    const { report } = await resume({ steps: of }, { status: 'running' }, { one: [{}] }, { steps });

    expect(report).toEqual({ job: 'failed', one: 'timed_out' });
  });
});

describe('steps that have ended', () => {
  it('are not run again', async () => {
    const steps = [step('one'), step('two')];
    const of = { one: stepRecord('one', 'succeeded', running), two: stepRecord('two', 'pending') };
    const { done, report } = await resume({ steps: of }, { status: 'exited', exitCode: 0 }, {}, { steps });

    expect(done).toEqual(['create gpuaas-job-1.two', 'start gpuaas-job-1.two']);
    expect(report).toEqual({ job: 'succeeded', one: 'succeeded', two: 'succeeded' });
  });
});

describe('a service', () => {
  const planned = { services: [service('one')], steps: [step('two')] };
  const two = stepRecord('two', 'succeeded', running);

  it.each<[string, StepRecord['state'], Partial<ContainerFacts>]>([
    ['was stopped', 'succeeded', { status: 'exited', exitCode: 143 }],
    ['was being stopped', 'running', { status: 'running' }],
    ['was stopped, which nobody wrote down,', 'running', { status: 'exited', exitCode: 143 }],
  ])('that %s after the last step fails nothing, and is not begun again', async (_, state, container) => {
    const one = stepRecord('one', state, { ...running, ending: 'served' });
    const { done, report, record } = await resume({ steps: { one, two } }, container, { one: [{}] }, planned);

    expect(done).toEqual([]);
    expect(report).toEqual({ job: 'succeeded', two: 'succeeded' });
    expect(record.steps['one']).toMatchObject({ state: 'succeeded' });
  });

  it('that has ended by itself has failed the job', async () => {
    const one = stepRecord('one', 'failed', running);
    const { record } = await resume({ steps: { one, two } }, { status: 'exited', exitCode: 1 }, {}, planned);

    expect(record).toMatchObject({ state: 'failed', failure: { detail: { service: 'one' } } });
  });
});

describe('the job', () => {
  it('that has ended is cleaned up, and is what it was', async () => {
    const of = { one: stepRecord('one', 'failed', running) };
    const { done, report, calls } = await resume({ state: 'failed', steps: of }, { status: 'exited', exitCode: 1 });

    expect(done).toEqual([]);
    expect(calls).toContain(`remove ${name}`);
    expect(report).toEqual({ job: 'failed', one: 'failed' });
  });

  it('whose deadline went by meanwhile has expired', async () => {
    const of = { one: stepRecord('one', 'running', running) };
    const { report, record } = await resume({ deadline_at: 0, steps: of }, { status: 'running' }, { one: [{}] });

    expect(report).toEqual({ job: 'expired', one: 'cancelled' });
    expect(record.failure).toMatchObject({ code: 'job.expired' });
  });

  it('that somebody wanted to end meanwhile is ended', async () => {
    const of = { one: stepRecord('one', 'running', running) };
    const { report } = await resume({ cancelled: true, steps: of }, { status: 'running' }, { one: [{}] });

    expect(report).toEqual({ job: 'cancelled', one: 'cancelled' });
  });

  it('is not touched any more once this process has let go of it', async () => {
    const { context, calls, containers, end } = bench({ state: 'running' }, { status: 'running' }, { one: [{}] });
    const job = runJob(keptJob('running', 'running').plan, context);
    job.catch(() => undefined);
    await expect.poll(() => calls).toContain(`wait ${name}`);
    const before = JSON.stringify(context.jobs.records.all());

    context.jobs.running.letGo();
    end(name, 0);

    await expect(job).rejects.toThrow(JobLetGo);
    expect(JSON.stringify(context.jobs.records.all())).toBe(before);
    expect(containers.has(name)).toBe(true);
  });
});

describe('what the images have to have', () => {
  const planned = {
    preflight: [{ type: 'file' as const, name: 'job.py', image: 'main', work_dir: '/w' }],
    steps: [step('one')],
  };
  const waiting = { steps: { one: stepRecord('one', 'pending') } };
  const found = (reason: string | null) => [{ index: 0, reason, at: started, duration_ms: 1 }];

  it('was found before: it is not looked for again', async () => {
    const of = { ...waiting, preflight: found(null) };
    const { report, calls } = await resume(of, undefined, { one: [{ exit: 0 }] }, planned);

    expect(report).toEqual({ job: 'succeeded', one: 'succeeded' });
    expect(calls.filter((call) => call.includes('look-0'))).toEqual([]);
  });

  it('was lacking before: the job fails by that', async () => {
    const { record, done } = await resume({ ...waiting, preflight: found('is not there') }, undefined, {}, planned);

    expect(record).toMatchObject({ state: 'failed', failure: { code: 'preflight.failed' } });
    expect(done).toEqual([]);
  });

  it('was not looked for to the end: it is from the beginning, in a new container', async () => {
    const { record, done } = await resume(waiting, undefined, {}, planned);

    expect(record.failure).toMatchObject({ code: 'preflight.failed', detail: { check: 'job.py' } });
    expect(done).toEqual(['create gpuaas-job-1.look-0']);
  });
});

function bench(
  of: Partial<JobRecord>,
  container: Partial<ContainerFacts> | undefined,
  scripts: Record<string, Script> = { one: [{ exit: 0 }] },
  planned: Partial<JobPlan> = { steps: [step('one')] },
) {
  const engine = jobEngine(scripts);
  const { context, events } = taskContext(engine.engine);
  if (container) {
    const its = { [labels.instance]: 'job-1', [labels.task]: 'task-1', [labels.service]: 'one' };
    engine.containers.set(name, containerFacts({ name, labels: its, startedAt: started, ...container }));
    if (container.status === 'running') engine.runs(name);
  }
  const kept = keptJob('running', 'running', { task_id: 'task-1', plan: plan(planned) });
  const far = Date.now() + 3_600_000;
  const record = { deadline_at: far, steps: { one: stepRecord('one', 'running', running) }, ...of };
  context.jobs.records.begin({ ...kept, record: { ...kept.record, ...record } });
  return { ...engine, context, events, plan: kept.plan };
}

async function resume(...given: Parameters<typeof bench>) {
  const { context, events, plan: wanted, calls } = bench(...given);
  const { job } = await runJob(wanted, context);
  const { record } = job;
  const states = wanted.steps.map(({ id }) => [id, record.steps[id]?.state]);
  const done = calls.filter((call) => /^(create|start) /.test(call));
  const told = events.map(({ type }) => type).filter((type) => type.startsWith('job.'));
  return { record, calls, done, told, report: { job: record.state, ...Object.fromEntries(states) } };
}
