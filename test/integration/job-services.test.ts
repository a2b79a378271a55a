/** What runs before and beside the steps of a job, on the real engine: services with readiness and restart, checks, init. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobTaskOutput } from '../../src/contract/job-output.ts';
import type { JobPlan, JobStep } from '../../src/contract/job-plan.ts';
import { plan as planOf, service, step, words } from '../support/job-plans.ts';
import { leftOf } from '../support/nosana-ground.ts';
import { openTestHost, type TestHost } from '../support/test-host.ts';

type Service = JobPlan['services'][number];
type RunOnce = JobPlan['init'][number];

let host: TestHost;
let tiny: string;
beforeAll(async () => {
  host = await openTestHost();
  tiny = await host.image('tiny');
});
afterAll(async () => await host?.close());

const sh = (line: string) => words('/bin/sh', '-c', line);
const resources = { gpu_count: 0, cpu_cores: 0.1, memory_gib: 0.0625 };
const data = [{ volume: 'data', path: '/data', read_only: false }];
const said = [{ name: 'said', regex: '(.+)', channels: ['stdout' as const] }];
/** All that has a line to run sees the volume `data`. */
const does = (id: string, line: string, over: Partial<JobStep> = {}) =>
  step(id, { command: sh(line), resources, mounts: data, results: said, ...over });
const serves = (id: string, line: string, over: Partial<Service> = {}): Service => ({
  ...{ ...service(id), command: sh(line), resources, mounts: data },
  ...over,
});
const once = (id: string, line: string): RunOnce => {
  const { image, env } = step(id);
  return { id, image, env, command: sh(line), resources, mounts: data, timeout_seconds: 60 };
};
const port = (checks: Extract<Service['expose'][number], { kind: 'port' }>['checks'] = []) => ({
  ...{ kind: 'port' as const, port: 8080, protocol: 'http' as const, checks },
});
const answers = (path: string) => ({
  ...{ type: 'http' as const, path, method: 'GET' as const, expected_status: 200, headers: {}, continuous: false },
  ...{ restart_on_failure: false, max_restarts: 0 },
});
const serving = 'exec httpd -f -p 8080 -h /w';
const untilThere = (file: string) => `until [ -e ${file} ]; do sleep 0.05; done`;

describe.concurrent('a service', () => {
  it('is ready when its check passes: no step starts before, and each finds it by its name (C-27)', async () => {
    // It listens at once; what is asked for comes when its init has been through, a second later.
    const late = `mkdir /w; (sleep 1; echo ready > /data/ready; echo hello > /w/late) & ${serving}`;
    const { output } = await run('svc-check', {
      services: [serves('web', late, { expose: [port([answers('/late')])] })],
      steps: [does('ask', 'cat /data/ready; wget -qO- http://web:8080/late')],
    });

    expect(output.report).toMatchObject({ state: 'succeeded', steps: [{ results: { said: ['ready', 'hello'] } }] });
    expect(output.events.map(({ type }) => type)).toContain('step.ready');
  });

  it('is ready when its port is open, where it has no check', async () => {
    const { output } = await run('svc-port', {
      services: [serves('web', `mkdir /w; sleep 1; touch /data/listens; ${serving}`, { expose: [port()] })],
      steps: [does('ask', 'ls /data')],
    });

    expect(output.report).toMatchObject({ state: 'succeeded', steps: [{ results: { said: ['listens'] } }] });
  });

  it('that is never ready fails the job, by its name, and no step starts', async () => {
    const { output, failure } = await run('svc-never', {
      services: [serves('web', `mkdir /w; ${serving}`, { expose: [port([answers('/none')])], ready_seconds: 15 })],
      steps: [does('one', 'true')],
    });

    expect(failure).toMatchObject({ code: 'readiness.timed_out', detail: { service: 'web' } });
    expect(failure?.message).toContain('web');
    expect(output.report).toMatchObject({ state: 'failed', steps: [{ state: 'skipped', container_id: null }] });
  });

  it('that ends and is not to be restarted fails the job, by its name, and what runs is stopped', async () => {
    const { output, failure } = await run('svc-no', {
      services: [serves('db', `${untilThere('/data/go')}; exit 4`)],
      steps: [does('long', 'touch /data/go; exec sleep 600')],
    });

    expect(failure).toMatchObject({ code: 'step.failed', detail: { service: 'db', exit_code: 4 } });
    expect(failure?.message).toContain('db');
    expect(output.report).toMatchObject({ state: 'failed', steps: [{ id: 'long', exit_code: null }] });
  });

  it.each([
    ['on_failure', 'exit 3'],
    ['always', 'exit 0'],
  ] as const)('is started again by the policy %s, and goes on with what it had', async (policy, end) => {
    const line = `echo run >> /tmp/runs; cp /tmp/runs /data/runs; [ $(wc -l < /tmp/runs) -ge 3 ] && exec sleep 600; ${end}`;
    const { output } = await run(`svc-${policy.replace('_', '-')}`, {
      services: [serves('db', line, { restart: { policy, max_retries: 3 } })],
      steps: [does('wait', 'until [ "$(wc -l < /data/runs)" -ge 3 ]; do sleep 0.05; done 2>/dev/null; cat /data/runs')],
    });

    expect(output.report).toMatchObject({ state: 'succeeded', steps: [{ results: { said: ['run', 'run', 'run'] } }] });
    expect(typesOf(output, 'db')).toEqual([
      ...['step.started', 'step.restarted', 'step.started', 'step.restarted', 'step.started', 'step.ended'],
    ]);
  });

  it('that fails more often than it is restarted fails the job', async () => {
    const { output, failure } = await run('svc-tries', {
      services: [serves('db', 'exit 5', { restart: { policy: 'on_failure', max_retries: 1 } })],
      steps: [does('long', 'exec sleep 600')],
    });

    expect(failure).toMatchObject({ code: 'step.failed', detail: { service: 'db', exit_code: 5 } });
    expect(typesOf(output, 'db')).toEqual(['step.started', 'step.restarted', 'step.started', 'step.ended']);
  });
});

describe.concurrent('a service that ends', () => {
  const after = `${untilThere('/data/ended')}; sleep 1`;
  const ends = (code: number) => `touch /data/ended; exit ${code}`;

  // With two restarts it is begun three times.
  it.each([
    ['no', 0, 'succeeded', 1],
    ['no', 1, 'failed', 1],
    ['on_failure', 0, 'succeeded', 1],
    ['on_failure', 1, 'failed', 3],
    ['always', 0, 'failed', 3],
    ['always', 1, 'failed', 3],
  ] as const)(
    'under the policy %s, with exit %i: the job has %s after %i starts (C-31)',
    async (policy, code, state, starts) => {
      const restart = { policy, max_retries: policy === 'no' ? 0 : 2 };
      const { output, failure } = await run(`svc-end-${policy.replace('_', '-')}-${code}`, {
        services: [serves('db', ends(code), { restart })],
        steps: [does('work', state === 'succeeded' ? after : 'exec sleep 600')],
      });

      expect(output.report?.state).toBe(state);
      expect(typesOf(output, 'db').filter((type) => type === 'step.started')).toHaveLength(starts);
      expect(typesOf(output, 'db').at(-1)).toBe('step.ended');
      const facts = { phase: 'service', service: 'db', exit_code: code };
      if (state === 'failed') expect(failure).toMatchObject({ code: 'step.failed', detail: facts });
      else expect(failure).toBeNull();
      expect(failure?.message ?? 'db').toContain('db');
    },
  );
});

describe.concurrent('a service with a health check', () => {
  const byFile = (file: string) => ({ healthcheck: { command: ['/bin/sh', '-c', `test -e ${file}`] } });
  const asked = (line: string, over: Partial<Service>) => serves('model', line, over);

  it('is ready when its command has ended with 0, with its own folder and variables: no step starts before (C-32, C-33, C-35)', async () => {
    const late = 'sleep 1; echo "$PWD $MODE" > /tmp/ready; cp /tmp/ready /data; exec sleep 600';
    const env = { values: { MODE: 'small' }, merge: [] };
    const { output } = await run('svc-health', {
      services: [asked(late, { ...byFile('/tmp/ready'), env, work_dir: '/srv' })],
      steps: [does('ask', 'cat /data/ready')],
    });

    expect(output.report).toMatchObject({ state: 'succeeded', steps: [{ results: { said: ['/srv small'] } }] });
    expect(typesOf(output, 'model')).toEqual(['step.started', 'step.ready', 'step.ended']);
  });

  it('that is never ready fails the job, with its name and what the command said (C-34)', async () => {
    const { output, failure } = await run('svc-health-never', {
      services: [asked('exec sleep 600', { healthcheck: { command: ['/bin/sh', '-c', 'exit 9'] }, ready_seconds: 15 })],
      steps: [does('one', 'true')],
    });

    expect(failure).toMatchObject({
      ...{ code: 'readiness.timed_out' },
      detail: { phase: 'service', service: 'model', answer: 'exit code 9' },
    });
    expect(output.report).toMatchObject({ state: 'failed', steps: [{ state: 'skipped', container_id: null }] });
  });

  it('whose command hangs fails the job after its time, and so does one whose command is not there', async () => {
    const [hangs, lacks] = await Promise.all(
      [['/bin/sleep', '600'], ['/bin/no-such-program']].map((command, index) =>
        run(`svc-health-odd-${index}`, {
          services: [asked('exec sleep 600', { healthcheck: { command }, ready_seconds: 15 })],
          steps: [does('one', 'true')],
        }),
      ),
    );

    expect(hangs?.failure).toMatchObject({ code: 'readiness.timed_out', detail: { service: 'model' } });
    expect(lacks?.failure).toMatchObject({ code: 'readiness.timed_out', detail: { answer: expect.any(String) } });
  });

  it('that ends with 0 before it was ready fails the job', async () => {
    const { failure } = await run('svc-health-early', {
      services: [asked('exit 0', byFile('/none'))],
      steps: [does('one', 'true')],
    });

    expect(failure).toMatchObject({ code: 'step.failed', detail: { service: 'model', exit_code: 0 } });
  });

  it('that does not pass any more is begun again by its policy, and fails the job where that says no', async () => {
    const line = 'echo run >> /data/runs; touch /data/well; exec sleep 600';
    const sick = `${untilThere('/data/runs')}; rm -f /data/well`;
    const of = (policy: 'no' | 'on_failure') => ({
      services: [
        asked(line, {
          ...byFile('/data/well'),
          restart: { policy, max_retries: 1 },
        }),
      ],
      steps: [does('work', `${sick}; until [ "$(wc -l < /data/runs)" -ge 2 ]; do sleep 0.2; done; cat /data/runs`)],
    });
    const [again, ended] = await Promise.all([run('svc-sick-again', of('on_failure')), run('svc-sick-no', of('no'))]);

    expect(again.output.report).toMatchObject({ state: 'succeeded', steps: [{ results: { said: ['run', 'run'] } }] });
    expect(typesOf(again.output, 'model').slice(0, 5)).toEqual([
      ...['step.started', 'step.ready', 'check.failed', 'step.restarted', 'step.started'],
    ]);
    expect(ended.failure).toMatchObject({ code: 'step.unhealthy', detail: { phase: 'service', service: 'model' } });
  });
});

describe.concurrent('what runs before the steps', () => {
  it('is done one after another: checks, then init in their order, then steps', async () => {
    const { output } = await run('pre-order', {
      checks: [once('check', 'echo check >> /data/log')],
      init: [once('first', 'sleep 1; echo first >> /data/log'), once('second', 'echo second >> /data/log')],
      steps: [does('show', 'cat /data/log')],
    });

    expect(output.report).toMatchObject({
      ...{ state: 'succeeded', steps: [{ results: { said: ['check', 'first', 'second'] } }] },
    });
  });

  it.each([
    ['check', 'preflight.failed', { checks: [once('bad', 'exit 7')], init: [once('after', 'exit 0')] }],
    ['init', 'step.failed', { init: [once('bad', 'exit 7'), once('after', 'exit 0')] }],
  ])('that fails (%s) fails the job by its name, and nothing runs after it', async (phase, code, over) => {
    const { output, failure } = await run(`pre-${phase}`, { ...over, steps: [does('one', 'true')] });

    expect(failure).toMatchObject({ code, detail: { phase, exit_code: 7 } });
    expect(failure?.message).toContain('bad');
    expect(output.report).toMatchObject({ state: 'failed', steps: [{ state: 'skipped', container_id: null }] });
    expect(typesOf(output, 'after')).toEqual([]);
  });
});

describe.concurrent('what an image has to have', () => {
  const look = (type: 'executable' | 'file', name: string, work_dir = '/') => ({ type, name, image: 'main', work_dir });

  it('is looked for without a start and without a shell, and the job runs where it is there (C-18, C-19, C-21)', async () => {
    const preflight = [look('executable', 'sh'), look('executable', '/bin/busybox'), look('file', 'sh', '/bin')];
    const { output } = await run('look-fine', { preflight, steps: [does('one', 'true')] });

    expect(output.report).toMatchObject({ state: 'succeeded', checks: preflight.map(() => ({ state: 'passed' })) });
    expect(output.events.filter(({ type }) => type === 'preflight.passed')).toHaveLength(1);
  });

  it('is named where it is lacking, and nothing of the job is started (C-17, X-19)', async () => {
    const preflight = [look('executable', 'python'), look('file', 'job.py', '/workspace'), look('executable', 'sh')];
    const services = [serves('db', 'exec sleep 600')];
    const { output, failure } = await run('look-lacks', { preflight, services, steps: [does('one', 'true')] });

    expect(failure).toMatchObject({ code: 'preflight.failed', detail: { phase: 'check', check: 'python' } });
    expect(failure?.message).toMatch(/python.*\/workspace\/job\.py/);
    expect(output.report).toMatchObject({
      ...{ state: 'failed', checks: [{ state: 'failed' }, { state: 'failed' }, { state: 'passed' }] },
      steps: [{ state: 'skipped', container_id: null }],
    });
    expect(typesOf(output, 'db')).toEqual([]);
  });

  it('and a command that has to end with 0 are told apart from what the steps say (C-20, X-19)', async () => {
    const checks = [
      { ...once('good', 'echo fine'), label: 'a shell' },
      { ...once('bad', 'echo no numpy here; exit 3'), label: 'numpy import' },
    ];
    const { output, failure } = await run('look-command', { checks, steps: [does('one', 'echo mine')] });

    expect(failure).toMatchObject({ code: 'preflight.failed', detail: { phase: 'check', check: 'numpy import' } });
    expect(output.report?.checks).toMatchObject([
      { kind: 'command', label: 'a shell', state: 'passed', output: 'fine' },
      { kind: 'command', label: 'numpy import', state: 'failed', output: 'no numpy here' },
    ]);
  });
});

/** Events about one of its containers. */
const typesOf = ({ events }: JobTaskOutput, id: string) =>
  events.filter(({ values }) => values['step'] === id).map(({ type }) => type);

async function run(id: string, over: Partial<JobPlan>) {
  const base = planOf({ volumes: [{ name: 'data' }], ...over });
  const [image] = base.images;
  if (!image) throw new Error('a plan without an image');
  const job_id = `svc-test-${id}`;
  const plan: JobPlan = {
    ...base,
    identity: { ...base.identity, job_id, allocation_id: host.policy.allocation.id },
    images: [{ ...image, source: { ...image.source, reference: tiny } as typeof image.source }],
    resources: { gpu_count: 0, cpu_cores: 0.2, memory_gib: 0.125 },
    stop_grace_seconds: 1,
  };
  const { failure, output } = await host.run('workload.job_launch', plan);
  expect(await leftOf(host, job_id)).toEqual([]);
  return { failure, output: output as JobTaskOutput };
}
