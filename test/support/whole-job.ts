/**
 * Jobs that use most of what a plan can say, for engines and sandboxes other than the usual ones: a service that is waited for, a volume
 * that two steps share, ends that are told apart, a cancel with its grace.
 */
import { randomBytes } from 'node:crypto';
import { expect } from 'vitest';
import type { JobTaskOutput } from '../../src/contract/job-output.ts';
import type { JobPlan, JobStep } from '../../src/contract/job-plan.ts';
import { containerName } from '../../src/contract/names.ts';
import { engineCall } from './engine-call.ts';
import { eventually } from './eventually.ts';
import { plan as planOf, service, step, words } from './job-plans.ts';
import { leftOf } from './nosana-ground.ts';
import { endsForItsMemory, type TestHost } from './test-host.ts';

const sh = (line: string) => words('/bin/sh', '-c', line);
const resources = { gpu_count: 0, cpu_cores: 0.2, memory_gib: 0.125 };
const smallStep = (id: string, line: string, over: Partial<JobStep> = {}) =>
  step(id, { command: sh(line), resources, ...over });

/** Runs three of them side by side, and expects of each what it should come to. */
export async function expectWholeJobs(host: TestHost, image: string, sandbox: JobPlan['sandbox']): Promise<void> {
  const check = { type: 'http', path: '/', method: 'GET', expected_status: 200, headers: {} } as const;
  const checks = [{ ...check, continuous: false, restart_on_failure: false, max_restarts: 0 }];
  const mounts = [{ volume: 'data', path: '/data', read_only: false }];
  const results = [{ name: 'said', regex: '(.+)', channels: ['stdout' as const] }];
  // Not over the network: an engine of a test's own has no firewall rules, and its containers do not reach each other.
  const serve = 'sleep 1; echo hello > /data/index.html; exec httpd -f -p 8080 -h /data';
  const group = { group: 'g' };
  const jobs = {
    whole: planWith({
      volumes: [{ name: 'data' }],
      services: [
        {
          ...service('web'),
          resources,
          command: sh(serve),
          mounts,
          expose: [{ kind: 'port', port: 8080, protocol: 'http', checks }],
        },
      ],
      steps: [
        smallStep('writes', 'cat /data/index.html > /data/page', { mounts }),
        smallStep('reads', 'cat /data/page; uname -r', { mounts, results }),
      ],
    }),
    ends: planWith({ steps: [smallStep('code', 'exit 7', group), smallStep('memory', endsForItsMemory, group)] }),
    polite: planWith({
      steps: [
        smallStep('polite', 'trap "echo bye; exit 0" TERM; echo ready; while :; do sleep 0.05; done', { results }),
        smallStep('later', 'true'),
      ],
    }),
  };
  const run = async (plan: JobPlan) => await host.run('workload.job_launch', plan);
  const cancelled = async () => {
    const { job_id, project_id, allocation_id } = jobs.polite.identity;
    const log = `/containers/${containerName(job_id, 'polite')}/logs?stdout=1`;
    await eventually(async () =>
      expect(String((await engineCall(host.engineSocket, 'GET', log)).body)).toContain('ready'),
    );
    return await host.run('workload.job_control', {
      identity: { job_id, project_id, allocation_id },
      action: 'cancel',
    });
  };

  const [whole, ends, polite, cancel] = await Promise.all([
    run(jobs.whole),
    run(jobs.ends),
    run(jobs.polite),
    cancelled(),
  ]);

  const steps = ({ output }: { output: unknown }) => (output as JobTaskOutput | null)?.report?.steps;
  expect(whole).toMatchObject({ status: 'succeeded', failure: null });
  const kernel = sandbox === 'gvisor' ? '4.4.0' : expect.not.stringMatching(/^4\.4\.0$/);
  expect(steps(whole)).toMatchObject([
    { id: 'writes', state: 'succeeded', exit_code: 0 },
    { id: 'reads', results: { said: ['hello', kernel] } },
  ]);
  expect(ends.status).toBe('failed');
  expect(steps(ends)).toMatchObject([
    { id: 'code', state: 'failed', exit_code: 7, oom_killed: false },
    { id: 'memory', state: 'failed', oom_killed: true, failure: { code: 'container.oom_killed' } },
  ]);
  expect([polite.status, cancel.status]).toEqual(['cancelled', 'succeeded']);
  expect(steps(polite)).toMatchObject([
    { state: 'cancelled', results: { said: ['ready', 'bye'] } },
    { state: 'cancelled' },
  ]);
  const left = await Promise.all(Object.values(jobs).map(({ identity }) => leftOf(host, identity.job_id)));
  expect(left.flat()).toEqual([]);

  function planWith(over: Partial<JobPlan>): JobPlan {
    const base = planOf(over);
    const media_type = 'application/vnd.docker.distribution.manifest.v2+json';
    return {
      ...base,
      ...{ sandbox, resources: { gpu_count: 0, cpu_cores: 0.4, memory_gib: 0.25 } },
      identity: {
        ...base.identity,
        job_id: `test-${randomBytes(5).toString('hex')}`,
        allocation_id: host.policy.allocation.id,
      },
      images: [{ id: 'main', source: { kind: 'registry', reference: image, media_type } }],
    };
  }
}
