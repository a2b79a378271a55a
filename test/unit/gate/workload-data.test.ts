import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { wipeOnce } from '../../support/wipe-once.ts';

let home: string;
let outside: string;
let workloads: string;
beforeEach(() => {
  const folder = mkdtempSync(join(tmpdir(), 'gate-wipe-'));
  home = join(folder, 'home');
  outside = join(folder, 'outside');
  workloads = join(home, 'gpuaas/workloads');
  for (const path of [join(outside, 'workloads/of-others'), join(home, 'gpuaas/projects/p1/file')]) {
    mkdirSync(path, { recursive: true });
  }
});
afterEach(() => rmSync(join(home, '..'), { recursive: true, force: true }));

const wipe = () => wipeOnce(home, join(home, '../secrets'), join(home, '../inputs'));

describe('wipeData', () => {
  it('takes away all that workloads have left, and says so', async () => {
    mkdirSync(join(workloads, 'i1/data'), { recursive: true });

    expect(await wipe()).toEqual({ removed: [join(workloads, 'i1'), join(home, 'gpuaas/projects/p1')], kept: [] });
    expect(readdirSync(join(home, 'gpuaas'))).toEqual([]);
  });

  it('takes away what jobs have fetched, and nothing else that is there', async () => {
    const inputs = join(home, '../inputs');
    const own = ['cache/key', 'jobs/job-1'].map((path) => join(inputs, path));
    for (const path of [...own, join(inputs, 'lost+found')]) mkdirSync(path, { recursive: true });

    expect(await wipe()).toMatchObject({ removed: expect.arrayContaining(own), kept: [] });
    expect(readdirSync(inputs)).toEqual(['lost+found']);
  });

  it.each([
    ['link to a full folder', () => symlinkSync(join(outside, 'workloads'), workloads)],
    ['link to nowhere', () => symlinkSync('/nowhere', workloads)],
    ['file', () => writeFileSync(workloads, '')],
  ])('removes a %s in place of its folder as what it is, and goes on', async (_what, make) => {
    make();

    expect(await wipe()).toEqual({ removed: [workloads, join(home, 'gpuaas/projects/p1')], kept: [] });
    expect(() => lstatSync(workloads)).toThrow('ENOENT');
    expect(existsSync(join(outside, 'workloads/of-others'))).toBe(true);
  });

  it('removes a link in place of the folder above as a link', async () => {
    rmSync(join(home, 'gpuaas'), { recursive: true });
    symlinkSync(outside, join(home, 'gpuaas'));

    expect(await wipe()).toEqual({ removed: [join(home, 'gpuaas')], kept: [] });
    expect(existsSync(join(outside, 'workloads/of-others'))).toBe(true);
  });

  it('leaves a link on the way to the secrets, which is the operator’s, and takes the secrets', async () => {
    mkdirSync(join(outside, 'secrets/i1'), { recursive: true });
    symlinkSync(outside, join(home, '../run'));

    expect(await wipeOnce(home, join(home, '../run/secrets'), join(home, '../inputs'))).toMatchObject({ kept: [] });

    expect(lstatSync(join(home, '../run')).isSymbolicLink()).toBe(true);
    expect(readdirSync(outside)).toEqual(['workloads']);
  });
});
