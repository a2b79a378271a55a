/** The store on a disk that is really full: a small file system in memory. */
import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openSqliteStore } from '../../src/server/db/sqlite/sqlite-store.ts';
import { ReleaseFiles } from '../../src/server/releases/release-files.ts';
import { makeRelease, makeSigners } from '../support/releases.ts';
import { aProject } from '../support/store-samples.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const disk = temporaryFolder('server-disk-full');
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
