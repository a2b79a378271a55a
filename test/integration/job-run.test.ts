/** `workload.job_launch` on the real engine: order, ends told apart, what steps share, cancel, and what is left. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobTaskOutput } from '../../src/contract/job-output.ts';
import type { JobPlan, JobStep } from '../../src/contract/job-plan.ts';
import type { TaskResult } from '../../src/contract/task-envelope.ts';
import { plan as planOf, step, words } from '../support/job-plans.ts';
import { endsForItsMemory, openTestHost, type TestHost } from '../support/test-host.ts';

let host: TestHost;
let tiny: string;

beforeAll(async () => {
  host = await openTestHost();
  tiny = await host.image('tiny');
});
afterAll(async () => await host.close());

const sh = (line: string) => words('/bin/sh', '-c', line);
const small = { gpu_count: 0, cpu_cores: 0.1, memory_gib: 0.0625 };
const small2 = (id: string, line: string, over: Partial<JobStep> = {}) =>
  step(id, { command: sh(line), resources: small, ...over });

describe.concurrent('a job', () => {
  it('runs its groups in order, shares volumes and results between them, and leaves nothing', async () => {
    const loss = { ref: 'step_result', step: 'train', name: 'loss' } as const;
    const mounts = [{ volume: 'data', path: '/data', read_only: false }];
    const { result, output } = await run('job-order', {
      volumes: [{ name: 'data' }],
      steps: [
        small2('train', 'echo model > /data/m; echo loss=0.25; echo loss=0.5 >&2', {
          mounts,
          results: [{ name: 'loss', regex: 'loss=([0-9.]+)', channels: ['stdout'] }],
        }),
        small2('show', 'cat /data/m; echo $LOSS', {
          mounts,
          env: { values: { LOSS: { join: ['l', loss] } }, merge: [] },
          results: [{ name: 'said', regex: '^(model|l.*)$', channels: ['stdout'] }],
        }),
      ],
    });

    expect(result.failure).toBeNull();
    expect(output?.report?.steps).toMatchObject([
      { id: 'train', state: 'succeeded', exit_code: 0, results: { loss: ['0.25'] } },
      { id: 'show', state: 'succeeded', results: { said: ['model', 'l0.25'] } },
    ]);
    expect(output?.cleanup?.removed).toEqual(expect.arrayContaining(['volume gpuaas-job-order.data']));
    expect(await leftOf('job-order')).toEqual([]);
  });

  it('lets a server serve the steps that depend on it, and stops it then', async () => {
    const serve = 'mkdir /w; echo hello > /w/index.html; exec httpd -f -p 8080 -h /w';
    const check = { type: 'http', path: '/', method: 'GET', expected_status: 200, headers: {} } as const;
    const checks = [{ ...check, continuous: false, restart_on_failure: false, max_restarts: 0 }];
    const { output } = await run('job-serve', {
      steps: [
        small2('web', serve, {
          ...{ group: 'g', stops_with: ['ask'], aliases: ['the-web'] },
          expose: [{ kind: 'port', port: 8080, protocol: 'http', checks }],
        }),
        small2('ask', 'wget -qO- http://web:8080/ && wget -qO- http://the-web:8080/', {
          ...{ group: 'g', depends_on: ['web'] },
          results: [{ name: 'said', regex: '.+', channels: ['stdout'] }],
        }),
      ],
    });

    expect(output?.report).toMatchObject({
      state: 'succeeded',
      steps: [
        { id: 'web', state: 'succeeded' },
        { id: 'ask', state: 'succeeded', results: { said: ['hello', 'hello'] } },
      ],
    });
  });

  it.each([
    ['an exit', 'exit 3', 'step.failed', { exit_code: 3, signal: null, oom_killed: false }],
    ['a signal', 'kill -SEGV $$', 'step.failed', { exit_code: null, signal: 'SIGSEGV', oom_killed: false }],
    ['want of memory', endsForItsMemory, 'container.oom_killed', { oom_killed: true }],
  ])('tells apart that a step was ended by %s', async (what, line, code, facts) => {
    const id = `job-end-${what.replaceAll(' ', '-')}`;
    const { result, output } = await run(id, { steps: [small2('one', line), small2('two', 'true')] });

    expect(result).toMatchObject({ status: 'failed', failure: { code } });
    expect(output?.report?.steps).toMatchObject([{ state: 'failed', ...facts }, { state: 'skipped' }]);
    expect(await leftOf(id)).toEqual([]);
  });

  it('stops a step whose time is over', async () => {
    const { result } = await run('job-late', { steps: [small2('one', 'exec sleep 600', { timeout_seconds: 1 })] });

    expect(result).toMatchObject({ status: 'failed', failure: { code: 'step.timed_out' } });
  });

  it('that is cancelled ends what runs with its grace, and begins nothing more', async () => {
    const begun = Promise.withResolvers<void>();
    const job = run(
      'job-cancel',
      { steps: [small2('one', 'trap "exit 0" TERM; sleep 600 & wait'), small2('two', 'true')] },
      (type) => {
        if (type === 'step.started') begun.resolve();
      },
    );
    await begun.promise;
    const { identity } = plan('job-cancel', {});
    const { project_id, job_id, allocation_id } = identity;
    const cancelled = await host.run('workload.job_control', {
      identity: { project_id, job_id, allocation_id },
      action: 'cancel',
    });
    const { result } = await job;

    expect(result).toMatchObject({ status: 'cancelled', failure: { code: 'job.cancelled' } });
    expect(cancelled).toMatchObject({
      status: 'succeeded',
      output: { state: 'cancelled', report: { steps: [{ state: 'cancelled' }, { state: 'cancelled' }] } },
    });
    expect(await leftOf('job-cancel')).toEqual([]);
  });

  it('restarts a step as its policy says', async () => {
    const { output } = await run('job-again', {
      steps: [
        small2('one', 'test -e /tmp/was || { touch /tmp/was; exit 1; }', {
          restart: { policy: 'on_failure', max_retries: 2 },
        }),
      ],
    });

    expect(output?.report?.steps).toMatchObject([{ state: 'succeeded', attempts: 2 }]);
  });

  it('that is to be kept stays until it is removed', async () => {
    const { output } = await run('job-keep', { keep: true });
    const { project_id, job_id, allocation_id } = plan('job-keep', {}).identity;

    expect(output?.cleanup?.kept).toContain('container gpuaas-job-keep.one');
    expect(await leftOf('job-keep')).toContain('gpuaas-job-keep.one');
    await host.run('workload.job_remove', { identity: { project_id, job_id, allocation_id } });
    expect(await leftOf('job-keep')).toEqual([]);
  });
});

function plan(id: string, over: Partial<JobPlan>): JobPlan {
  const base = planOf(over);
  const [image] = base.images;
  if (!image) throw new Error('a plan without an image');
  return {
    ...base,
    identity: { ...base.identity, job_id: id, allocation_id: host.policy.allocation.id },
    images: [{ ...image, source: { ...image.source, reference: tiny } as typeof image.source }],
    resources: { gpu_count: 0, cpu_cores: 0.2, memory_gib: 0.125 },
    stop_grace_seconds: 5,
    ...(over.steps ? {} : { steps: [small2('one', 'true')] }),
  };
}

async function run(id: string, over: Partial<JobPlan>, onEvent: (type: string) => void = () => undefined) {
  const result: TaskResult = await host.run('workload.job_launch', plan(id, over), {
    onEvent: ({ type }) => onEvent(type),
  });
  return { result, output: result.output as JobTaskOutput | null };
}

/** Names of everything of the job that is on the engine. */
async function leftOf(id: string): Promise<string[]> {
  const signal = AbortSignal.timeout(30_000);
  const [containers, networks, volumes] = await Promise.all([
    host.engine.list(signal),
    host.engine.networks(signal),
    host.engine.volumes(signal),
  ]);
  return [...containers, ...networks, ...volumes]
    .filter(({ labels: of }) => of['gpuaas.instance'] === id)
    .map(({ name }) => name);
}
