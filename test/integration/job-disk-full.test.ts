/**
 * A host that has one small disk for all of it, engine, gate and agent, which runs full while jobs are at work (FAULTS 18): each says
 * what is short, leaves nothing that is half done, and goes through once there is room.
 */
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import { unpackPackage } from '../../bootstrap/dev/packages.ts';
import { type PrivateEngine, startPrivateEngine } from '../../bootstrap/dev/private-engine.ts';
import { controlPlaneOrigin } from '../../src/agent/control-plane/origin.ts';
import { revisionSource } from '../../src/agent/control-plane/revision-source.ts';
import { HostPressure } from '../../src/agent/host-pressure.ts';
import { HostRoom } from '../../src/agent/host-room.ts';
import { KeptForLater } from '../../src/agent/kept-for-later.ts';
import type { JobTaskOutput } from '../../src/contract/job-output.ts';
import type { JobPlan } from '../../src/contract/job-plan.ts';
import type { RecordBody } from '../../src/contract/records.ts';
import { readDisk } from '../../src/host/resources.ts';
import { systemClock } from '../../src/kit/clock.ts';
import { createLog } from '../../src/kit/log.ts';
import { engineCall } from '../support/engine-call.ts';
import { plan as planOf, service, step, words } from '../support/job-plans.ts';
import { contentOf, type LoopbackSource, loopbackSource, sendContent } from '../support/loopback-source.ts';
import { leftOf } from '../support/nosana-ground.ts';
import { openTestHost, type TestHost } from '../support/test-host.ts';
import { tarOf } from '../unit/kit/tarball/tar-bytes.ts';
import { pushFreshImage } from './engine-images.ts';

const mebibyte = 2 ** 20;
const reserve = 32 * mebibyte;
const revisions = new Map<string, Buffer>();
let dir: string;
let engine: PrivateEngine;
let server: LoopbackSource;
let host: TestHost;
let base: string;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'job-disk-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256m', 'gpuaas-test', dir]);
  // What is made below is on that disk as well.
  vi.stubEnv('TMPDIR', dir);
  server = await loopbackSource((request, response, { pathname }) => {
    const tar = revisions.get(pathname.split('/').at(-1) ?? '');
    return tar ? sendContent(request, response, contentOf(tar)) : void response.writeHead(404).end();
  });
  engine = await startPrivateEngine(dir);
  host = await openTestHost({
    engineSocket: engine.socketPath,
    room: (of, jobs) =>
      new HostRoom({
        ...{ diskReserveBytes: reserve, disk, log, jobs, kept: keeper(of) },
        ...{ isShort: () => false, onChange: () => undefined },
      }),
    outputs: {
      offer: async () => ({ received: 0, complete: true, refused: null }),
      send: async ({ offset, bytes }) => ({ received: offset + bytes.length, complete: true, refused: null }),
    },
    revisions: revisionSource(controlPlaneOrigin(server.origin), () => 'bearer'),
    policy: {
      builds: { cpu_cores: 1, memory_gib: 0.25, context_gib: 0.1 },
      reserves: { cpu_cores: 0, memory_gib: 0.5, disk_gib: reserve / 2 ** 30 },
    },
  });
  const shell = readFileSync(`${await unpackPackage('busybox-static')}/bin/busybox`);
  const { repository, digest } = await pushFreshImage(host.registryHost, 'gpuaas-dev/job-disk', { shell });
  base = `${host.registryHost}/${repository}@${digest}`;
  await host.engine.pull({ reference: base }, { signal: never(), diskReserveBytes: reserve });
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await host?.close();
  await engine?.stop();
  server?.close();
  execFileSync('umount', ['--lazy', dir]);
  rmSync(dir, { recursive: true, force: true });
});

afterEach(makeRoom);

const log = createLog({ level: 'silent' });
const disk = () => readDisk(join(dir, 'data'));
const never = () => AbortSignal.timeout(60_000);
const get = async <T>(path: string) => (await engineCall<T>(engine.socketPath, 'GET', path)).body;
const freeNow = () => {
  const { bavail, bsize } = statfsSync(dir);
  return bavail * bsize;
};

/** Takes all of the disk but so much. */
function leaveFree(bytes: number): void {
  writeFileSync(join(dir, 'filler'), Buffer.alloc(freeNow() - bytes));
}

function makeRoom(): void {
  rmSync(join(dir, 'filler'), { force: true });
}

async function run(over: Partial<JobPlan>, job_id = `test-${randomBytes(5).toString('hex')}`) {
  const plan = planOf({ network: 'none', read_only_root: true, ...over });
  const identity = {
    ...plan.identity,
    ...{ job_id, allocation_id: host.policy.allocation.id },
  };
  const told: string[] = [];
  const { failure, output } = await host.run(
    'workload.job_launch',
    { ...plan, identity },
    { onEvent: ({ type }) => void told.push(type) },
  );
  const report = (output as JobTaskOutput | null)?.report;
  return {
    ...{ failure, told, state: report?.state, said: report?.steps[0]?.results['said'] },
    left: await leftOf(host, identity.job_id),
  };
}

/** A job of a revision of these files, whose only step says that it ran. */
function built(dockerfile: string, files: Readonly<Record<string, Buffer>> = {}): Partial<JobPlan> {
  const entries = Object.entries({ Dockerfile: Buffer.from(dockerfile), ...files });
  const tar = tarOf(...entries.map(([name, content]) => ({ name, content })));
  const revision_sha256 = createHash('sha256').update(tar).digest('hex');
  revisions.set(revision_sha256, tar);
  const source = {
    ...{ kind: 'build' as const, revision_sha256, revision_bytes: tar.length, dockerfile: 'Dockerfile', context: '.' },
    ...{ args: {}, bases: { base }, init: [], work_dir: '/work', network: 'none' as const, timeout_seconds: 120 },
  };
  return { images: [{ id: 'main', source }], steps: [says('echo it runs')] };
}

function says(script: string, over: Parameters<typeof step>[1] = {}) {
  const results = [{ name: 'said', regex: '(.+)', channels: ['stdout' as const] }];
  return step('main', { command: words('/bin/sh', '-c', script), results, ...over });
}

const keeper = (of = host.engine) =>
  new KeptForLater({
    services: {
      idleSince: (id) => host.jobs.groups.idleSince(id),
      giveWay: async (id) => await host.jobs.groups.giveWay(id, of),
    },
    ...{ engine: of, maxAgeHours: undefined, clock: systemClock, log },
    ...{ jobs: { all: () => [] }, report: () => undefined, onChange: () => undefined },
  });

const emptied = () => keeper().makeRoom({ missing: async () => 2 ** 40, reason: 'disk_short' });

/** Nothing goes of a project beside a build of it. */
async function imagesWithoutLeftovers(): Promise<unknown> {
  await emptied();
  return await get('/images/json?all=1');
}

const waitsForRoom = `while [ "$(df -k / | awk 'END{print $4}')" -lt 40000 ]; do sleep 0.1; done`;
const large = (count: number) => randomBytes(count * mebibyte);

it.each([
  ['takes what is kept free', `RUN head -c 50m /dev/zero > /big; ${waitsForRoom}\n`, {}, 4],
  ['has a command that finds no room', 'RUN fallocate -l 70m /big\n', {}, 4],
  ['copies more than there is room for', 'COPY . /ctx\n', { big: large(30) }, expect.any(Number)],
])(
  'a build that %s ends with disk.full, leaves nothing, and goes through when there is room',
  async (_, last, files, at) => {
    const job = built(`FROM base\nRUN head -c 1m /dev/zero > /before\n${last}`, files);
    const before = await get<{ Id: string }[]>('/images/json?all=1');
    leaveFree(66 * mebibyte);

    const full = await run(job);

    expect(full).toMatchObject({
      failure: { code: 'disk.full', detail: { path: join(dir, 'data'), step: at, reason: expect.any(String) } },
      ...{ state: 'failed', left: [] },
    });
    // An engine takes a moment to end what nobody waits for any more.
    await expect.poll(() => get('/containers/json?all=1'), { timeout: 30_000 }).toEqual([]);
    expect((await host.engine.builds(never())).images).toEqual([]);
    await expect.poll(imagesWithoutLeftovers, { timeout: 30_000 }).toEqual(before);
    makeRoom();
    expect(await run(job)).toMatchObject({ failure: null, said: ['it runs'], left: [] });
    await expect.poll(imagesWithoutLeftovers, { timeout: 30_000 }).toEqual(before);
  },
);

const media_type = 'application/vnd.docker.distribution.manifest.v2+json' as const;

/** A job of that revision whose step has its cache at `/data`. */
function cached(revision_sha256: string, script: string, max_bytes?: number): Partial<JobPlan> {
  const cache = { name: 'data', revision_sha256, class: 'data' as const, seed_from_image: false };
  return {
    images: [{ id: 'main', source: { kind: 'registry', reference: base, media_type } }],
    caches: [{ ...cache, ...(max_bytes !== undefined && { max_bytes }) }],
    steps: [says(script, { work_dir: '/data', mounts: [{ volume: 'data', path: '/data', read_only: false }] })],
  };
}

it('a build goes through where a cache that nothing uses makes room for it, as does a job that asks for disk', async () => {
  const caches = async () => (await host.engine.caches({ measure: false, signal: never() })).length;
  await run(cached(randomBytes(32).toString('hex'), 'head -c 60m /dev/zero > zeros'));
  leaveFree(66 * mebibyte);

  const made = await run(built(`FROM base\nRUN head -c 40m /dev/zero > /big; ${waitsForRoom}\n`));

  expect(made).toMatchObject({ failure: null, said: ['it runs'], left: [] });
  expect(await caches()).toBe(0);
  const job = cached(randomBytes(32).toString('hex'), 'echo it runs');
  const most = (freeNow() - reserve) / 2 ** 30;
  expect(await run({ ...job, disk_gib: most + 0.03 })).toMatchObject({ failure: null, said: ['it runs'] });
  expect((await host.engine.builds(never())).images).toEqual([]);
  expect(await run({ ...job, disk_gib: most + 0.3 })).toMatchObject({ failure: { code: 'disk.full' }, left: [] });
  expect(await caches()).toBe(1);
  await emptied();
});

it('services that no job uses any more make room with what they have, and are begun anew for the next that shares them (C-30, C-44)', async () => {
  const shared = (): Partial<JobPlan> => {
    const of = cached(revision, 'until [ -e full ]; do sleep 0.1; done; echo it runs');
    const mounts = [{ volume: 'data', path: '/data', read_only: false }];
    const serves = 'cd /data; head -c 60m /dev/zero > zeros; : > full; while :; do sleep 0.2; done';
    const model = { ...service('model'), command: words('/bin/sh', '-c', serves), mounts, scope: 'project' as const };
    return { ...of, services: [model], network: 'bridge', stop_grace_seconds: 0 };
  };
  const revision = randomBytes(32).toString('hex');
  const room = async () => (await host.jobs.room?.look(never()))?.evictable ?? 0;
  const services = async () => (await host.engine.list(never())).map(({ name }) => name);
  expect(await run(shared())).toMatchObject({ failure: null });
  const [group = ''] = await services();
  const items = async () => await keeper().items({ measure: false });
  expect(await items()).toMatchObject([{ kind: 'cache', in_use: false }]);
  await keeper().measure();
  expect([group, await room()]).toEqual([expect.stringMatching(/^gpuaas-svc-.*model$/), 60 * mebibyte]);

  const most = freeMib() / 1024;
  const other = cached(randomBytes(32).toString('hex'), 'echo it runs');
  expect(await run({ ...other, disk_gib: most + 0.1 })).toMatchObject({ failure: { code: 'disk.full' } });
  expect(await services()).toEqual([group]);
  expect(await run({ ...other, disk_gib: most + 0.05 })).toMatchObject({ failure: null, said: ['it runs'], left: [] });

  expect([await services(), (await items()).map((each) => each.revision_sha256)]).toEqual([
    [],
    [other.caches?.[0]?.revision_sha256],
  ]);
  expect(await run(shared())).toMatchObject({ failure: null });
  expect(await services()).toEqual([group]);
  await emptied();
  expect([await services(), await items()]).toEqual([[], []]);
});

const freeMib = () => (freeNow() - reserve) / mebibyte;

it('what a job was promised is held while it runs, but for what it has written in its volumes', async () => {
  const registry = { kind: 'registry' as const, reference: base, media_type };
  const asking = (mib: number, script: string): Partial<JobPlan> => ({
    ...{ images: [{ id: 'main', source: registry }], volumes: [{ name: 'data' }], disk_gib: mib / 1024 },
    steps: [says(script, { mounts: [{ volume: 'data', path: '/data', read_only: false }] })],
  });
  const before = freeMib();
  const id = 'test-promised';
  const script = 'head -c 50m /dev/zero > /data/zeros; while [ ! -e /data/over ]; do sleep 0.2; done';
  const first = run(asking(before - 40, script), id);
  await expect.poll(freeMib, { timeout: 30_000 }).toBeLessThan(before - 45);

  expect(await run(asking(60, 'echo it runs'))).toMatchObject({ failure: { code: 'disk.full' }, left: [] });
  expect(await run(asking(25, 'echo it runs'))).toMatchObject({ failure: null, said: ['it runs'] });
  await host.run('workload.job_control', {
    ...{ identity: { project_id: 'project-7', job_id: id, allocation_id: host.policy.allocation.id } },
    action: 'cancel',
  });
  expect(await first).toMatchObject({ state: 'cancelled' });
  expect(await run(asking(60, 'echo it runs'))).toMatchObject({ failure: null, said: ['it runs'] });
});

it('a task whose cache fills the disk fails with why; what was unused for longest goes, others keep theirs, and it runs then', async () => {
  const [old = '', other = '', full = ''] = Array.from({ length: 3 }, () => randomBytes(32).toString('hex'));
  const caches = async () =>
    (await host.engine.caches({ measure: false, signal: never() })).map((each) => each.revision_sha256);
  const told: RecordBody<'event'>[] = [];
  const pressure = new HostPressure({
    ...{ diskReserveBytes: reserve, disk, clock: systemClock, log, onChange: () => undefined },
    report: (event) => void told.push(event),
    makeRoom: (missing) => keeper().makeRoom({ missing, reason: 'disk_short' }),
  });
  await run(cached(old, 'head -c 60m /dev/zero > zeros'));
  const before = await run(cached(other, 'head -c 1m /dev/urandom > random; sha256sum random'));

  const ended = await run(cached(full, 'cat /dev/zero > zeros', 10 * mebibyte));

  expect(freeNow()).toBeLessThan(reserve);
  expect(ended).toMatchObject({
    failure: {
      code: 'step.failed',
      detail: { advice: expect.stringContaining(`no room left (${join(dir, 'data')})`) },
    },
    ...{ told: expect.arrayContaining(['cache.over_limit']), left: [] },
  });
  await pressure.look();
  expect((await caches()).sort()).toEqual([full, other].sort());
  expect(told).toEqual([]);
  expect(await run(cached(other, 'sha256sum random'))).toMatchObject({ failure: null, said: before.said });
  const after = await run(cached(full, 'ls; echo it runs', 10 * mebibyte));
  expect(after).toMatchObject({ failure: null, said: ['it runs'], told: expect.arrayContaining(['cache.emptied']) });
});
