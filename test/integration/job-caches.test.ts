/**
 * Caches of jobs on a real engine: what stays from one job of a revision to the next, and what never does. Who may write to one
 * differs between the sandboxes, so that is tried in both; what measures, empties and removes it is engine and gate, while no container has it.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GVISOR_RUNTIME, gvisorFlag } from '../../bootstrap/dev/gvisor.ts';
import { unpackPackage } from '../../bootstrap/dev/packages.ts';
import { type PrivateEngine, startPrivateEngine } from '../../bootstrap/dev/private-engine.ts';
import { KeptForLater } from '../../src/agent/kept-for-later.ts';
import type { JobTaskOutput } from '../../src/contract/job-output.ts';
import type { JobCache, JobPlan } from '../../src/contract/job-plan.ts';
import { labels } from '../../src/contract/names.ts';
import type { RecordBody } from '../../src/contract/records.ts';
import { systemClock } from '../../src/kit/clock.ts';
import { createLog } from '../../src/kit/log.ts';
import { noCards } from '../../src/policy/given-cards.ts';
import { type JobContainerInput, renderJobContainer } from '../../src/policy/render-job-container.ts';
import { plan as planOf, step, words } from '../support/job-plans.ts';
import { leftOf } from '../support/nosana-ground.ts';
import { noServices } from '../support/shared-services.ts';
import { openTestHost, type TestHost } from '../support/test-host.ts';
import { pushFreshImage } from './engine-images.ts';

const users = ['0', '1000'] as const;
let dir: string;
let engine: PrivateEngine;
let host: TestHost;
let images: JobPlan['images'];
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'caches-'));
  engine = await startPrivateEngine(dir, { flags: [await gvisorFlag(dir)] });
  host = await openTestHost({
    engineSocket: engine.socketPath,
    policy: { sandboxes: { runc: 'runc', gvisor: GVISOR_RUNTIME } },
  });
  const shell = readFileSync(`${await unpackPackage('busybox-static')}/bin/busybox`);
  const media_type = 'application/vnd.docker.distribution.manifest.v2+json';
  images = await Promise.all(
    users.map(async (user): Promise<JobPlan['images'][number]> => {
      const data = { uid: Number(user), files: { baked: 'from the image' } };
      const { repository, digest } = await pushFreshImage(host.registryHost, `gpuaas-dev/caches-${user}`, {
        ...{ shell, user, data },
      });
      const reference = `${host.registryHost}/${repository}@${digest}`;
      return { id: `user-${user}`, source: { kind: 'registry', reference, media_type } };
    }),
  );
});
afterAll(async () => {
  await host?.close();
  await engine?.stop();
  rmSync(dir, { recursive: true, force: true });
});

const both = <T>(said: T) => [said, said];
const newRevision = () => randomBytes(32).toString('hex');
const never = () => AbortSignal.timeout(60_000);
const kept = async (revision: string) =>
  (await host.engine.caches({ measure: false, signal: never() })).filter(({ revision_sha256: of }) => of === revision);

interface Over {
  readonly sandbox?: JobPlan['sandbox'];
  readonly project?: string;
  readonly keep?: boolean;
  readonly cache?: Partial<JobCache>;
}

/** One job with a read-only root whose steps, one of each user, run this script in the cache; what they said, and its events. */
async function ran(revision: string, script: string, { sandbox = 'runc', project, keep = false, cache }: Over = {}) {
  const base = planOf();
  const channels = ['stdout' as const, 'stderr' as const];
  const plan: JobPlan = {
    ...{ ...base, sandbox, keep, images, network: 'none', read_only_root: true },
    identity: {
      ...{ ...base.identity, job_id: `test-${randomBytes(5).toString('hex')}`, project_id: project ?? 'project-7' },
      allocation_id: host.policy.allocation.id,
    },
    caches: [{ name: 'hf-cache', revision_sha256: revision, class: 'model', seed_from_image: false, ...cache }],
    steps: images.map(({ id }) =>
      step(id, {
        ...{ image: id, command: words('/bin/sh', '-c', script), work_dir: '/data' },
        mounts: [{ volume: 'hf-cache', path: '/data', read_only: false }],
        results: [{ name: 'said', regex: '(.+)', channels }],
      }),
    ),
  };
  const told: string[] = [];
  const result = await host.run('workload.job_launch', plan, { onEvent: ({ type }) => void told.push(type) });
  const steps = (result.output as JobTaskOutput | null)?.report?.steps ?? [];
  expect(result.failure).toBeNull();
  const job = plan.identity.job_id;
  if (!keep) expect(await leftOf(host, job)).toEqual([]);
  return {
    job,
    said: steps.map(({ results }) => results['said'] ?? []),
    told: told.filter((type) => /^cache/.test(type)),
  };
}

describe.each(['runc', 'gvisor'] as const)('under %s, a cache', (sandbox) => {
  it('stays for the next job of its revision, writable for every user, and for nobody else (C-53, C-54, C-57)', async () => {
    const revision = newRevision();

    const first = await ran(revision, 'ls; echo by $(id -u) > by-$(id -u)', { sandbox });
    const second = await ran(revision, 'cat *', { sandbox });
    const ofAnotherRevision = await ran(newRevision(), 'ls', { sandbox });
    const ofAnotherProject = await ran(revision, 'ls', { sandbox, project: 'project-8' });

    expect(first.said).toEqual([[], ['by-0']]);
    expect(second.said).toEqual([
      ['by 0', 'by 1000'],
      ['by 0', 'by 1000'],
    ]);
    expect([ofAnotherRevision.said, ofAnotherProject.said]).toEqual([
      [[], []],
      [[], []],
    ]);
  });

  it('begins with what the image has where that is wanted, once, however empty it is later (C-52, C-55)', async () => {
    const cache = { seed_from_image: true };
    const revision = newRevision();

    const first = await ran(revision, 'cat *; echo more > more-$(id -u)', { sandbox, cache });
    await ran(revision, 'rm -f *', { sandbox, cache });
    await host.restartGate();
    const emptied = await ran(revision, 'ls', { sandbox, cache });

    expect(first.said).toEqual([['from the image'], ['from the imagemore']]);
    expect(emptied.said).toEqual([[], []]);
  });
});

it('a cache that holds more than it may is emptied before its next use, and is not filled again (C-50)', async () => {
  const cache = { max_bytes: 100, seed_from_image: true };
  const revision = newRevision();

  const first = await ran(revision, 'head -c 150 /dev/zero > large-$(id -u)', { cache });
  const held = await kept(revision);
  const second = await ran(revision, 'ls; echo x > small-$(id -u)', { cache });
  const third = await ran(revision, 'ls', { cache });

  expect(first.told).toEqual(['cache.over_limit']);
  expect(held).toMatchObject([
    { name: 'hf-cache', class: 'model', bytes: 314, in_use: false, project_id: 'project-7' },
  ]);
  expect(second).toMatchObject({ said: [[], ['small-0']], told: ['cache.emptied'] });
  expect(third).toMatchObject({ said: both(['small-0', 'small-1000']), told: [] });
});

it('a cache that nobody measured after its last use is measured before the next', async () => {
  const revision = newRevision();
  await ran(revision, 'head -c 150 /dev/zero > large-$(id -u)');

  const measured = await kept(revision);
  const next = await ran(revision, 'ls', { cache: { max_bytes: 100 } });

  expect(measured).toMatchObject([{ bytes: null }]);
  expect(next).toMatchObject({ said: [[], []], told: ['cache.emptied'] });
});

it('a cache that a container has is neither removed nor emptied; one that nobody has is', async () => {
  const revision = newRevision();
  const cache = { max_bytes: 1 };
  const { job } = await ran(revision, 'echo here > file-$(id -u)', { keep: true, cache });
  const [{ volume } = { volume: '' }] = await kept(revision);

  const remove = (empty: boolean) => host.engine.removeCache(volume, { empty, signal: never() });
  await expect(remove(true)).rejects.toMatchObject({ code: 'cache.in_use' });
  await expect(remove(false)).rejects.toMatchObject({ code: 'cache.in_use' });
  const beside = await ran(revision, 'cat file-0', { cache });
  expect(beside).toMatchObject({ said: [['here'], ['here']], told: ['cache.over_limit'] });

  await host.run('workload.job_remove', {
    ...{ identity: { project_id: 'project-7', job_id: job, allocation_id: host.policy.allocation.id } },
  });
  expect(await kept(revision)).toMatchObject([{ in_use: false }]);
  expect(await remove(false)).toBe(true);
  expect(await kept(revision)).toEqual([]);
  expect(await remove(false)).toBe(false);
});

it('a container has the caches of the project and the revision that it is labelled with, and no other', async () => {
  const revision = newRevision();
  await ran(revision, 'true');
  const [{ volume } = { volume: '' }] = await kept(revision);
  const create = async (of: Record<string, string>) => {
    const { name, request } = rendered();
    const mounts = [{ Type: 'volume' as const, Source: volume, Target: '/data', ReadOnly: false }];
    await host.engine.create(
      name,
      {
        ...request,
        Labels: { ...request.Labels, ...of },
        HostConfig: { ...request.HostConfig, Mounts: mounts },
      } as never,
      never(),
    );
  };
  const own = { [labels.revision]: revision, [labels.caches]: 'hf-cache:model' };

  for (const wrong of [
    {},
    { ...own, [labels.revision]: newRevision() },
    { ...own, [labels.project]: 'project-8' },
    { ...own, [labels.caches]: 'other:model' },
    { ...own, [labels.caches]: 'hf-cache:model,hf-cache:model' },
  ]) {
    await expect(create(wrong)).rejects.toMatchObject({ code: 'policy.refused' });
  }
  await create(own);
});

function rendered() {
  const [image] = images;
  const source = image?.source;
  const reference = source && 'reference' in source ? source.reference : '';
  const identity = { ...planOf().identity, job_id: `test-${randomBytes(5).toString('hex')}` };
  const input: JobContainerInput = {
    identity: { ...identity, allocation_id: host.policy.allocation.id },
    part: {
      ...{ id: 'step', env: {}, mounts: [], aliases: [], ports: [], restart: { policy: 'no', max_retries: 0 } },
      resources: { gpu_count: 0, cpu_cores: 0.2, memory_gib: 0.0625 },
    },
    ...{ sandbox: 'runc', network: 'none', read_only_root: false, log_limits: { max_size_mib: 1, max_files: 2 } },
    image: { id: '', repoDigests: [reference], env: [], volumes: [], workingDir: '', hasHealthcheck: false },
    ...{ policy: host.policy, reference, cards: noCards, taskId: 'task-1', fencing: 1 },
  };
  return renderJobContainer(input);
}

it('the cache that was not used for the longest goes where the disk is short, and never one that a container has', async () => {
  const revisions = { had: newRevision(), old: newRevision(), fresh: newRevision() };
  const { job } = await ran(revisions.had, 'echo x > file-$(id -u)', { keep: true });
  await ran(revisions.old, 'head -c 150 /dev/zero > large-$(id -u)');
  await ran(revisions.fresh, 'echo x > file-$(id -u)');
  const told: RecordBody<'event'>[] = [];
  const keeper = new KeptForLater({
    ...{ engine: host.engine, maxAgeHours: undefined, clock: systemClock, log: createLog({ level: 'silent' }) },
    ...{
      jobs: { all: () => [] },
      services: noServices,
      report: (event) => void told.push(event),
      onChange: () => undefined,
    },
  });

  const missing = async () => ((await kept(revisions.old)).length === 0 ? 0 : 300);
  await keeper.makeRoom({ missing, reason: 'disk_short' });

  expect(await kept(revisions.had)).toMatchObject([{ in_use: true }]);
  expect(await kept(revisions.fresh)).toMatchObject([{ in_use: false, bytes: 4 }]);
  expect(told.at(-1)?.event).toMatchObject({
    ...{ type: 'cache.removed', message: expect.stringContaining('hf-cache') },
    values: { revision_sha256: revisions.old, bytes: 300, reason: 'disk_short' },
  });
  await host.run('workload.job_remove', {
    ...{ identity: { project_id: 'project-7', job_id: job, allocation_id: host.policy.allocation.id } },
  });
});

it('caches go when the host is wiped', async () => {
  const revision = newRevision();
  await ran(revision, 'echo x > file-$(id -u)', { cache: { seed_from_image: true } });
  await host.clear();

  await host.engine.wipe(never());

  expect(await host.engine.caches({ measure: false, signal: never() })).toEqual([]);
  expect((await ran(revision, 'ls', { cache: { seed_from_image: true } })).said).toEqual([['baked'], ['baked']]);
});
