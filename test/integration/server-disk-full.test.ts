/** The store on a disk that is really full: a small file system in memory. */
import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openSqliteStore } from '../../src/server/db/sqlite/sqlite-store.ts';
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
