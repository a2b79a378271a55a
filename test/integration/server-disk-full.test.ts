/** The store on a disk that is really full: a small file system in memory. */
import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemClock } from '../../src/kit/clock.ts';
import { createLog } from '../../src/kit/log.ts';
import { openSqliteStore } from '../../src/server/db/sqlite/sqlite-store.ts';
import { ReleaseFiles } from '../../src/server/releases/release-files.ts';
import { keepJudging } from '../../src/server/revisions/keep-judging.ts';
import { defaultRevisionLimits } from '../../src/server/revisions/keep-pushes.ts';
import { RevisionFiles } from '../../src/server/revisions/revision-files.ts';
import { eventually } from '../support/eventually.ts';
import { makeRelease, makeSigners } from '../support/releases.ts';
import { aProject } from '../support/store-samples.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { tarOf } from '../unit/kit/tarball/tar-bytes.ts';

const disk = temporaryFolder('server-disk-full');
const elsewhere = temporaryFolder('server-disk-elsewhere');
const filler = join(disk, 'filler');

beforeAll(() => execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m,mode=0700', 'gpuaas-test', disk]));
afterAll(() => execFileSync('umount', [disk]));

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
  const smallest = {
    ...{ version: 1, runtime: { kind: 'oci', sandbox: 'gvisor', workdir: '/workspace' } },
    entrypoint: { command: ['python', 'job.py'] },
  };
  const entries = { 'computalot.project.json': JSON.stringify(smallest), Dockerfile: 'FROM scratch\n' };
  const upload = gzipSync(
    tarOf(...Object.entries(entries).map(([name, content]) => ({ name, content })), {
      name: 'zeros',
      content: Buffer.alloc(8 * 1024 * 1024),
    }),
  );
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
