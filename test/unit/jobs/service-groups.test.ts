/**
 * Services that jobs share: places in their network, which has thirteen addresses, and who has one keeps it when the agent is begun anew; and
 * when they give way to whoever needs their room.
 */
import { describe, expect, it } from 'vitest';
import { AgentError } from '../../../src/contract/failures.ts';
import type { JobPlan } from '../../../src/contract/job-plan.ts';
import { labels } from '../../../src/contract/names.ts';
import { runJob } from '../../../src/jobs/run-job.ts';
import { ServiceGroups } from '../../../src/jobs/service-groups.ts';
import { groupOfPlan } from '../../../src/policy/service-group.ts';
import { jobEngine } from '../../support/job-engine.ts';
import { jobIdentity, keptJob, plan, service, step, stepRecord } from '../../support/job-plans.ts';
import { containerFacts } from '../../support/recording-engine.ts';
import { taskContext } from '../../support/task-bench.ts';

const started = '2026-11-23T10:00:00.000000000Z';
const resources = { gpu_count: 0, cpu_cores: 0.01, memory_gib: 0.0625 };
const own = ['a', 'b', 'c', 'd', 'e'];

/** A job with five services of its own beside the shared one, and a step: six addresses, and one for all. */
const sharing = (job_id: string): JobPlan =>
  plan({
    identity: { ...jobIdentity, job_id },
    resources: { ...resources, cpu_cores: 0.1, memory_gib: 0.5 },
    caches: [{ name: 'kept', revision_sha256: 'a'.repeat(64), class: 'data', seed_from_image: false }],
    services: [{ ...service('model'), scope: 'project' as const }, ...own.map(service)].map((each) => ({
      ...each,
      resources,
    })),
    steps: [step('one', { resources })],
  });
const group = groupOfPlan(sharing('job-1'))?.id ?? '';

/** An agent whose earlier life had these jobs at work. */
function bench(...jobs: readonly string[]) {
  const scripts = Object.fromEntries(['model', ...own].map((id) => [id, [{}]]));
  const world = { isStuck: false, atEnd: async () => undefined as unknown };
  const engine = jobEngine(
    { ...scripts, one: [{ exit: 0 }] },
    {
      removeNetwork: async (name) => {
        if (name === `gpuaas-${group}`) await world.atEnd();
        if (world.isStuck) throw new AgentError('engine.failed');
        return engine.networks.delete(name);
      },
    },
  );
  const { context } = taskContext(engine.engine);
  for (const job of jobs) {
    const names = ['one', ...own];
    for (const id of names) {
      const name = `gpuaas-${job}.${id}`;
      const its = { [labels.instance]: job, [labels.task]: `task-of-${job}`, [labels.service]: id };
      const size = { cpuCores: resources.cpu_cores, memoryBytes: resources.memory_gib * 2 ** 30 };
      engine.containers.set(
        name,
        containerFacts({ name, labels: its, startedAt: started, status: 'running', ...size }),
      );
      engine.runs(name);
    }
    const at = { attempts: 1, container_id: 'c', started_at: started, run_started_at: started };
    const kept = keptJob('running', 'running', { job_id: job, task_id: `task-of-${job}`, plan: sharing(job) });
    const steps = Object.fromEntries(names.map((id) => [id, stepRecord(id, 'running', at)]));
    const record = { ...kept.record, deadline_at: Date.now() + 3_600_000, has_place: true, steps };
    context.jobs.records.begin({ ...kept, record });
  }
  const run = async (job: string) => {
    const { job: ended } = await runJob(sharing(job), { ...context, taskId: `task-of-${job}` });
    return { state: ended.record.state, code: ended.record.failure?.code ?? null };
  };
  const { groups, records, running } = context.jobs;
  const endIdle = async () => await groups.endIdle({ engine: engine.engine, idleSeconds: 0 });
  const giveWay = async () => await groups.giveWay(group, engine.engine);
  const idleSince = () => groups.idleSince(group);
  return { run, endIdle, giveWay, idleSince, world, records, running, engine: engine.engine, calls: engine.calls };
}

const isThere = (calls: readonly string[]) =>
  calls.filter((call) => call === `create gpuaas-${group}.model`).length >
  calls.filter((call) => call === `remove gpuaas-${group}.model`).length;

it('a job that goes on has its place before one that is new, whichever comes first', async () => {
  const { run, calls } = bench('job-1', 'job-2');

  const late = await run('job-3');
  const both = [await run('job-1'), await run('job-2')];

  expect(late).toEqual({ state: 'failed', code: 'resources.exceeded' });
  expect(both).toEqual(both.map(() => ({ state: 'succeeded', code: null })));
  expect(calls.filter((call) => /^create gpuaas-job-[12]/.test(call))).toEqual([]);
  expect(await run('job-4')).toEqual({ state: 'succeeded', code: null });
});

it('services are not ended while a job has its place that has yet to be taken up', async () => {
  const { run, endIdle, calls } = bench('job-1');
  await run('job-3');

  await endIdle();

  expect(calls).not.toContain(`remove gpuaas-${group}.model`);
  await run('job-1');
  await endIdle();
  expect(calls).toContain(`remove gpuaas-${group}.model`);
});

describe('services that no job uses', () => {
  it('give way before their time, and are begun anew for the next job', async () => {
    const { run, giveWay, idleSince, calls } = bench();
    const before = Date.now();
    await run('job-1');

    expect(idleSince()).toBeGreaterThanOrEqual(before);
    expect([await giveWay(), isThere(calls)]).toEqual(['ended', false]);
    expect(await giveWay()).toBe('gone');
    expect(await run('job-2')).toEqual({ state: 'succeeded', code: null });
    expect(isThere(calls)).toBe(true);
  });

  it('do not give way to anybody while a job has begun that is yet to join them', async () => {
    const { run, giveWay, idleSince, records, calls } = bench();
    await run('job-1');
    const next = keptJob('preparing', 'waiting', { job_id: 'job-2', task_id: 'task-2', plan: sharing('job-2') });
    records.begin(next);

    expect([idleSince(), await giveWay(), isThere(calls)]).toEqual([undefined, 'in_use', true]);
    records.remove('job-2');
    expect(await giveWay()).toBe('ended');
  });

  it('that an earlier life of the agent has left give way as well, and are taken to be idle for the longest', async () => {
    const { run, records, running, engine, calls } = bench();
    await run('job-1');
    const next = new ServiceGroups(running, records);

    expect([next.idleSince(group), await next.giveWay(group, engine)]).toEqual([0, 'ended']);
    expect(isThere(calls)).toBe(false);
  });

  it('are there anew for a job that comes while they are being ended', async () => {
    const { run, giveWay, idleSince, world, calls } = bench();
    await run('job-1');
    const [reached, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    world.atEnd = async () => {
      reached.resolve();
      await goOn.promise;
    };
    const ending = giveWay();
    await reached.promise;
    expect(idleSince()).toBeUndefined();

    const next = run('job-2');
    goOn.resolve();

    expect([await ending, await next]).toEqual(['ended', { state: 'succeeded', code: null }]);
    expect([isThere(calls), idleSince()]).toEqual([true, expect.any(Number)]);
  });

  it('that could not be ended are no room until they are', async () => {
    const { run, endIdle, giveWay, idleSince, world } = bench();
    await run('job-1');
    world.isStuck = true;

    await expect(giveWay()).rejects.toMatchObject({ code: 'name.conflict' });
    expect(idleSince()).toBeUndefined();
    world.isStuck = false;
    await endIdle();
    expect([idleSince(), await giveWay()]).toEqual([0, 'gone']);
  });

  it('are the only ones that give way: no job or workload does', async () => {
    const { context } = taskContext(jobEngine({}).engine);

    expect(context.jobs.groups.idleSince('job-1')).toBeUndefined();
  });
});
