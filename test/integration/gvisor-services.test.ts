/** Services under gVisor, for real: policies, readiness and health as under runc, and those that the jobs of a revision share. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GVISOR_RUNTIME, gvisorFlag } from '../../bootstrap/dev/gvisor.ts';
import { ensureImage } from '../../bootstrap/dev/images.ts';
import { type PrivateEngine, startPrivateEngine } from '../../bootstrap/dev/private-engine.ts';
import type { JobTaskOutput } from '../../src/contract/job-output.ts';
import type { JobPlan } from '../../src/contract/job-plan.ts';
import { containerName } from '../../src/contract/names.ts';
import { readComputalotJob } from '../../src/manifests/computalot/read-job.ts';
import { groupOfPlan } from '../../src/policy/service-group.ts';
import { plan as planOf, service, step, words } from '../support/job-plans.ts';
import { inspectRaw } from '../support/looking.ts';
import { leftOf } from '../support/nosana-ground.ts';
import { openPool, ownPool } from '../support/open-pool.ts';
import { smallest } from '../support/project-manifests.ts';
import { newRevision } from '../support/sharing-jobs.ts';
import { openTestHost, type TestHost } from '../support/test-host.ts';

let dir: string;
let engine: PrivateEngine;
let host: TestHost;
let image: string;
let closePool: (() => Promise<void>) | undefined;
const network_pool = ownPool();

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'gvisor-'));
  engine = await startPrivateEngine(dir, { flags: [await gvisorFlag(dir)] });
  const sandboxes = { runc: 'runc', gvisor: GVISOR_RUNTIME };
  host = await openTestHost({ engineSocket: engine.socketPath, policy: { sandboxes, network_pool } });
  ({ reference: image } = await ensureImage({ socketPath: engine.socketPath, host: host.registryHost }, 'tiny'));
  closePool = await openPool(network_pool);
});
afterAll(async () => {
  await closePool?.();
  await host?.close();
  await engine?.stop();
  rmSync(dir, { recursive: true, force: true });
});

const sh = (line: string) => words('/bin/sh', '-c', line);
const small = {
  // Six of these jobs at once fit on two cores.
  resources: { gpu_count: 0, cpu_cores: 0.15, memory_gib: 0.125 },
  mounts: [{ volume: 'data', path: '/data', read_only: false }],
};
const results = [{ name: 'said', regex: '(.+)', channels: ['stdout' as const] }];
const byFile = (file: string) => ({ healthcheck: { command: ['/bin/sh', '-c', `test -e ${file}`] } });
const forever = 'exec sleep 600';

type Restart = JobPlan['services'][number]['restart']['policy'];

/** A job of a service and a step: how it went, and how often the service was begun. */
async function serve(
  serves: string,
  does: string,
  {
    policy = 'no',
    max_retries = 0,
    ...over
  }: Partial<JobPlan['services'][number]['restart'] & JobPlan['services'][number]> = {},
) {
  const base = planOf({
    volumes: [{ name: 'data' }],
    services: [{ ...service('model'), ...small, command: sh(serves), restart: { policy, max_retries }, ...over }],
    steps: [step('task', { ...small, results, command: sh(does) })],
  });
  return await carryOut({ ...base, resources: { gpu_count: 0, cpu_cores: 0.3, memory_gib: 0.25 } });
}

async function carryOut(base: JobPlan) {
  const job_id = `test-${randomBytes(5).toString('hex')}`;
  const { failure, output } = await host.run('workload.job_launch', {
    ...base,
    ...{ sandbox: 'gvisor', stop_grace_seconds: 1 },
    identity: { ...base.identity, job_id, allocation_id: host.policy.allocation.id },
    images: base.images.map(({ id }) => ({ id, source: registryImage() })),
  });
  expect(await leftOf(host, job_id)).toEqual([]);
  const { report, events } = output as JobTaskOutput;
  const told = events.filter(({ values }) => values['step'] === 'model').map(({ type }) => type);
  return { failure, state: report?.state, said: report?.steps[0]?.results['said'] ?? [], told };
}

const registryImage = () => ({
  ...{ kind: 'registry' as const, reference: image },
  media_type: 'application/vnd.docker.distribution.manifest.v2+json' as const,
});

describe.concurrent('a service under gVisor', () => {
  const begun = (told: readonly string[]) => told.filter((type) => type === 'step.started').length;

  it.each<[Restart, number, string, number]>([
    ['no', 0, 'succeeded', 1],
    ['no', 1, 'failed', 1],
    ['on_failure', 0, 'succeeded', 1],
    ['on_failure', 1, 'failed', 2],
    ['always', 0, 'failed', 2],
    ['always', 1, 'failed', 2],
  ])(
    'that ends, under the policy %s with exit %i: the job has %s after %i starts (C-31)',
    async (policy, code, state, starts) => {
      const isFine = state === 'succeeded';
      const work = isFine ? 'until [ -e /data/ended ]; do sleep 0.1; done; sleep 1' : forever;
      const ended = await serve(`touch /data/ended; exit ${code}`, work, {
        policy,
        max_retries: policy === 'no' ? 0 : 1,
      });

      const facts = { phase: 'service', service: 'model', exit_code: code };
      const failure = isFine ? null : { code: 'step.failed', detail: facts };
      expect(ended).toMatchObject({ state, failure });
      expect(begun(ended.told)).toBe(starts);
    },
  );

  it('is begun again with what its volumes had, and the task goes on', async () => {
    const serves = `echo run >> /data/runs; [ $(wc -l < /data/runs) -ge 2 ] && ${forever}; exit 3`;
    const does = 'until [ "$(wc -l < /data/runs)" -ge 2 ]; do sleep 0.1; done 2>/dev/null; cat /data/runs';

    const { failure, said, told } = await serve(serves, does, { policy: 'on_failure', max_retries: 3 });

    expect([failure, said]).toEqual([null, ['run', 'run']]);
    expect(told.slice(0, 3)).toEqual(['step.started', 'step.restarted', 'step.started']);
  });

  it('that is never ready fails the job after its time, and no step begins (C-34)', async () => {
    const healthcheck = { command: ['/bin/sh', '-c', 'exit 9'] };
    const { failure, said } = await serve(forever, 'echo begun', { healthcheck, ready_seconds: 20 });

    const detail = { phase: 'service', service: 'model', answer: 'exit code 9' };
    expect([failure, said]).toEqual([
      expect.objectContaining({ code: 'readiness.timed_out', detail: expect.objectContaining(detail) }),
      [],
    ]);
  });

  it('that is not well any more is begun again by its policy, or fails the job (C-35)', async () => {
    const serves = `echo run >> /data/runs; touch /data/well; ${forever}`;
    const does = 'rm -f /data/well; until [ "$(wc -l < /data/runs)" -ge 2 ]; do sleep 0.2; done; cat /data/runs';
    const [again, ended] = await Promise.all([
      serve(serves, does, { ...byFile('/data/well'), policy: 'always', max_retries: 1 }),
      serve(serves, does, byFile('/data/well')),
    ]);

    expect([again.failure, again.said]).toEqual([null, ['run', 'run']]);
    expect(again.told.slice(0, 5)).toEqual([
      ...['step.started', 'step.ready', 'check.failed', 'step.restarted', 'step.started'],
    ]);
    expect(ended.failure).toMatchObject({ code: 'step.unhealthy', detail: { phase: 'service', service: 'model' } });
  });
});

describe('services of a project under gVisor', () => {
  const serving = (port: number, file: string, text: string) =>
    `cd $TMPDIR; ${text} > ${file}; exec httpd -f -p ${port} -h .`;
  const asked = (port: number, file: string) => ({
    healthcheck: { command: ['wget', '-qO', '/dev/null', `http://127.0.0.1:${port}/${file}`] },
  });
  const document = {
    ...smallest,
    runtime: {
      ...smallest.runtime,
      services: [
        {
          ...{ name: 'Mod_el', scope: 'project', restart: 'always', ...asked(8080, 'id') },
          command: ['/bin/sh', '-c', serving(8080, 'id', 'hostname')],
        },
        { name: 'helper', command: ['/bin/sh', '-c', serving(8081, 'said', 'uname -r')], ...asked(8081, 'said') },
      ],
    },
    cache_mounts: [{ name: 'kept', scope: 'project_digest', path: '/cache' }],
    entrypoint: {
      command: [
        ...['/bin/sh', '-c'],
        `wget -qO- http://$COMPUTALOT_SERVICE_MOD_EL_HOST:8080/id
         wget -qO- http://$COMPUTALOT_SERVICE_HELPER_HOST:8081/said
         echo $COMPUTALOT_RUNTIME_SERVICES_JSON; env | grep ^COMPUTALOT_SERVICE_ | sort`,
      ],
    },
  };

  /** What a host is given for a job of it, but for its image, which is built nowhere here. */
  const planned = (revision_sha256: string): JobPlan => {
    const read = readComputalotJob(document);
    if (!read.ok) throw new Error(JSON.stringify(read.errors));
    const { identity } = planOf();
    const { plan } = read.plan({
      ...{ identity: { ...identity, dialect: 'computalot', allocation_id: host.policy.allocation.id } },
      ...{ sandbox: 'gvisor', resources: { gpu_count: 0, cpu_cores: 0.6, memory_gib: 0.375 } },
      ...{ on_failure: 'stop', deadline_seconds: 300, keep: false, pins: {} },
      build: { revision_sha256, revision_bytes: 1, bases: {} },
    });
    const images = plan.images.map(({ id }) => ({ id, source: registryImage() }));
    return { ...plan, images, stop_grace_seconds: 1, steps: plan.steps.map((each) => ({ ...each, results })) };
  };

  it('are begun by its first task, found by the next as its variables say, and gone once they are idle (C-27, C-30, C-36, C-37)', async () => {
    const plan = planned(newRevision());
    const group = groupOfPlan(plan)?.id ?? '';

    const both = [await carryOut(plan), await carryOut(plan)];

    expect(both.map(({ failure }) => failure)).toEqual([null, null]);
    const [first, second] = both.map(({ said }) => said);
    expect(first?.slice(0, 2)).toEqual([expect.stringMatching(/^[0-9a-f]{12}$/), '4.4.0']);
    expect(second).toEqual(first);
    expect(JSON.parse(first?.[2] ?? '')).toEqual([
      { name: 'Mod_el', host: 'mod-el', scope: 'project', restart: 'always', state: 'ready' },
      { name: 'helper', host: 'helper', scope: 'task', restart: 'never', state: 'ready' },
    ]);
    expect(first?.slice(3)).toEqual([
      ...['COMPUTALOT_SERVICE_HELPER_HOST=helper', 'COMPUTALOT_SERVICE_HELPER_NAME=helper'],
      ...['COMPUTALOT_SERVICE_HELPER_SCOPE=task', 'COMPUTALOT_SERVICE_HELPER_STATE=ready'],
      ...['COMPUTALOT_SERVICE_MOD_EL_HOST=mod-el', 'COMPUTALOT_SERVICE_MOD_EL_NAME=Mod_el'],
      ...['COMPUTALOT_SERVICE_MOD_EL_SCOPE=project', 'COMPUTALOT_SERVICE_MOD_EL_STATE=ready'],
    ]);
    const { HostConfig, State } = await inspectRaw(host, containerName(group, 'mod-el'));
    expect([HostConfig.Runtime, State.Status]).toEqual([GVISOR_RUNTIME, 'running']);
    await host.jobs.groups.endIdle({ engine: host.engine });
    expect(await leftOf(host, group)).not.toEqual([]);
    await host.jobs.groups.endIdle({ engine: host.engine, idleSeconds: 0 });
    expect(await leftOf(host, group)).toEqual([]);
  });
});
