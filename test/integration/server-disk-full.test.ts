/** The store on a disk that is really full: a small file system in memory. */
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { outputDestination } from '../../src/agent/control-plane/hand-over.ts';
import { controlPlaneOrigin } from '../../src/agent/control-plane/origin.ts';
import type { KeptOutput } from '../../src/contract/job-outputs.ts';
import { handOver } from '../../src/jobs/outputs/hand-over.ts';
import { systemClock } from '../../src/kit/clock.ts';
import { createLog } from '../../src/kit/log.ts';
import { openSqliteStore } from '../../src/server/db/sqlite/sqlite-store.ts';
import { ReleaseFiles } from '../../src/server/releases/release-files.ts';
import { keepJudging } from '../../src/server/revisions/keep-judging.ts';
import { defaultRevisionLimits } from '../../src/server/revisions/keep-pushes.ts';
import { RevisionFiles } from '../../src/server/revisions/revision-files.ts';
import { eventually } from '../support/eventually.ts';
import { aJob, nodeWithSession } from '../support/job-samples.ts';
import { makeRelease, makeSigners } from '../support/releases.ts';
import { aProject } from '../support/store-samples.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { type TestServer, testServer } from '../support/test-server.ts';
import { tarOf } from '../unit/kit/tarball/tar-bytes.ts';

const disk = temporaryFolder('server-disk-full');
const elsewhere = temporaryFolder('server-disk-elsewhere');
const filler = join(disk, 'filler');

beforeAll(() => execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m,mode=0700', 'gpuaas-test', disk]));
// The control plane below has its store on it until the file is over.
afterAll(() => execFileSync('umount', ['--lazy', disk]));

const mebibyte = 1024 * 1024;
const smallest = {
  ...{ version: 1, runtime: { kind: 'oci', sandbox: 'gvisor', workdir: '/workspace' } },
  entrypoint: { command: ['python', 'job.py'] },
};
const projectFiles = [
  { name: 'computalot.project.json', content: JSON.stringify(smallest) },
  { name: 'Dockerfile', content: 'FROM scratch\n' },
];

it('a store without room says so, can be read, and goes on when there is room again', async () => {
  const store = openSqliteStore(join(disk, 'data/control-plane.db'));
  await store.write((tx) => tx.projects.insert(aProject({ id: 'before', name: 'before' })));
  const full = () => writeFileSync(filler, Buffer.alloc(8 * 1024 * 1024));
  expect(full).toThrow('ENOSPC');
  const add = (id: string) => store.write((tx) => tx.projects.insert(aProject({ id, name: id })));

  // The log of the database may have room for some more.
  const untilFull = async () => {
    for (let number = 0; number < 10_000; number += 1) await add(`p${number}`);
  };
  await expect(untilFull()).rejects.toMatchObject({ code: 'disk.full' });
  expect(await store.read((tx) => tx.projects.get('before'))).toBeDefined();

  rmSync(filler);
  await add('afterwards');
  expect(await store.read((tx) => tx.projects.get('afterwards'))).toBeDefined();
  await store.close();
});

it('a file of a release without room leaves what was there, and goes on behind it when there is room again', async () => {
  const files = new ReleaseFiles(join(disk, 'releases'));
  const { release, files: made } = makeRelease(makeSigners());
  const artifact = release.artifacts[0];
  const bytes = artifact && made.get(artifact.name);
  if (!artifact || !bytes) throw new Error('a release has files');
  const file = { version: release.version, artifact };
  const from = (start: number, end?: number) => Readable.from([bytes.subarray(start, end)]);
  await files.take(file, 0, from(0, 40_000));
  expect(() => writeFileSync(filler, Buffer.alloc(8 * 1024 * 1024))).toThrow('ENOSPC');

  const refused = files.take(file, 40_000, from(40_000));
  await expect(refused).rejects.toMatchObject({ code: 'disk.full', detail: { file: artifact.name } });
  const kept = files.received(file);
  rmSync(filler);
  const isWhole = await files.take(file, 40_000, from(40_000));

  expect([kept, isWhole]).toEqual([40_000, true]);
});

it('a push that unpacks to more than there is room for says so, leaves nothing, and is judged once there is room', async () => {
  const [id, projectId] = ['push-1', 'project-1'];
  const store = openSqliteStore(join(elsewhere, 'control-plane.db'));
  const folder = join(disk, 'revisions');
  const revisions = new RevisionFiles(folder, store);
  const upload = gzipSync(tarOf(...projectFiles, { name: 'zeros', content: Buffer.alloc(8 * mebibyte) }));
  const judged = async (push: string) => {
    await store.write((tx) =>
      tx.pushes.insert({
        ...{
          id: push,
          project_id: projectId,
          sha256: null,
          bytes: upload.length,
          state: 'judging',
          revision_sha256: null,
        },
        ...{ failure: null, errors: [], warnings: [], left_out: [], created_at: '2026-11-27T00:00:00.000Z' },
        ...{ created_by: 'token-1', ended_at: null, trace_id: 'trace-1' },
      }),
    );
    return await eventually(async () => {
      const now = await store.read((tx) => tx.pushes.get(push));
      expect(['accepted', 'refused']).toContain(now?.state);
      return now;
    });
  };
  const stopped = new AbortController();
  const resolving = { registries: [], platform: 'linux/amd64', ownLogin: async () => undefined };
  const parts = {
    store,
    revisions,
    limits: defaultRevisionLimits,
    resolving,
    clock: systemClock,
    log: createLog({ level: 'silent' }),
  };
  const announced = (push: string) => ({ id: push, project_id: projectId, sha256: null, bytes: upload.length });
  await store.write((tx) => tx.projects.insert(aProject({ id: projectId, name: projectId })));
  await revisions.take(announced(id), 0, Readable.from([upload]));
  const working = keepJudging(parts, stopped.signal);

  const refused = await judged(id);
  await eventually(() => expect(readdirSync(join(folder, projectId))).toEqual([]));
  execFileSync('mount', ['-o', 'remount,size=64m', disk]);
  await revisions.take(announced('push-2'), 0, Readable.from([upload]));
  const accepted = await judged('push-2');

  expect(refused).toMatchObject({ state: 'refused', failure: { code: 'disk.full' }, errors: [] });
  expect(accepted).toMatchObject({ state: 'accepted', failure: null });
  expect(readdirSync(join(folder, projectId))).toContain(accepted?.revision_sha256);
  stopped.abort();
  await working;
  await store.close();
});

describe('a control plane on a disk that is full', () => {
  let server: TestServer;
  beforeAll(async () => {
    execFileSync('mount', ['-o', 'remount,size=64m', disk]);
    vi.stubEnv('TMPDIR', disk);
    server = await testServer();
    vi.unstubAllEnvs();
  });

  const fillBut = (bytes: number) => {
    const { bavail, bsize } = statfsSync(disk);
    writeFileSync(filler, Buffer.alloc(bavail * bsize - bytes));
  };

  it('refuses a piece of a push with 507, keeps what was there, and takes the rest once there is room (X-14)', async () => {
    const tar = tarOf(...projectFiles, { name: 'data.bin', content: randomBytes(8 * mebibyte) });
    const pushes = '/api/v1/projects/p1/pushes';
    const { body: push } = await server.call('POST', pushes, { as: 'member', body: { bytes: tar.length } });
    const now = async () => (await server.call('GET', `${pushes}/${push.id}`, { as: 'viewer' })).body;
    const put = async (offset: number, end?: number) => {
      const response = await fetch(`${server.url}${pushes}/${push.id}?offset=${offset}`, {
        ...{ method: 'PUT', body: new Uint8Array(tar.subarray(offset, end)) },
        headers: { authorization: `Bearer ${server.tokens['member']}`, 'content-type': 'application/octet-stream' },
      });
      return { status: response.status, body: await response.json() };
    };
    const putWith = async (free: number) => {
      fillBut(free);
      const refused = await put(2 * mebibyte);
      rmSync(filler);
      return { ...refused, kept: (await now()).received };
    };
    await put(0, 2 * mebibyte);

    const reserved = await putWith(mebibyte);
    const cut = await putWith(5 * mebibyte);
    const rest = await put(2 * mebibyte);

    const message = expect.stringContaining('The disk of the control plane has no room for revisions.');
    const full = { status: 507, kept: 2 * mebibyte, body: { error: { code: 'disk.full', message } } };
    expect([reserved, cut]).toMatchObject([full, full]);
    expect(rest).toMatchObject({ status: 200, body: { received: tar.length } });
    // What was sent goes once it is judged.
    await eventually(async () => {
      const { state, revision_sha256 } = await now();
      expect([state, readdirSync(join(server.revisionFolder, 'p1'))]).toEqual(['accepted', [revision_sha256]]);
    });
  });

  it('has a part of an artifact, and is given the rest once there is room (C-72)', async () => {
    const bearer = await nodeWithSession(server.store, 'node-1');
    await server.store.write((tx) => tx.jobs.insert(aJob()));
    const file = join(elsewhere, 'model.bin');
    const content = randomBytes(12 * mebibyte);
    writeFileSync(file, content);
    const output: KeptOutput = {
      ...{ name: 'model', kind: 'artifact', media_type: 'application/octet-stream', file_name: 'model.bin' },
      ...{ bytes: content.length, sha256: createHash('sha256').update(content).digest('hex') },
    };
    const stored = () => server.call('GET', '/api/v1/jobs/job-1/artifacts', { as: 'viewer' });
    const states: unknown[] = [];
    const whenRefused = async () => {
      states.push((await stored()).body.items[0].state);
      rmSync(filler, { force: true });
    };
    fillBut(9 * mebibyte);

    const handed = await handOver(
      { job: 'job-1', output },
      {
        ...{ destination: outputDestination(controlPlaneOrigin(server.url), () => bearer), file },
        ...{ clock: { ...systemClock, pause: whenRefused }, signal: new AbortController().signal },
      },
    );

    expect([handed, states]).toEqual([{ state: 'handed_over' }, ['pending']]);
    expect((await stored()).body.items).toMatchObject([{ name: 'model', state: 'stored', sha256: output.sha256 }]);
  });
});
