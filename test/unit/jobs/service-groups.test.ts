/** Places in the network of services that jobs share: it has thirteen addresses, and who has one keeps it when the agent is begun anew. */
import { expect, it } from 'vitest';
import type { JobPlan } from '../../../src/contract/job-plan.ts';
import { labels } from '../../../src/contract/names.ts';
import { runJob } from '../../../src/jobs/run-job.ts';
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
  const engine = jobEngine({ ...scripts, one: [{ exit: 0 }] });
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
  const endIdle = async () => await context.jobs.groups.endIdle({ engine: engine.engine, idleSeconds: 0 });
  return { run, endIdle, calls: engine.calls };
}

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
