import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { prepareMounts, removeCreated, stateAbove } from '../../../src/gate/mount-folders.ts';
import type { HostPolicy } from '../../../src/policy/host-policy.ts';
import { eventually } from '../../support/eventually.ts';

const uid = 61_777;
const gid = 61_778;
let folder: string;
let home: string;
let policy: HostPolicy;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gate-mounts-'));
  home = join(folder, 'home');
  mkdirSync(home);
  chownSync(home, uid, gid);
  policy = {
    allocation: { id: 'a', uid, gid, home },
    secrets_dir: join(folder, 'secrets'),
    inputs: { dir: join(folder, 'inputs') },
  } as HostPolicy;
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function scratch(name = 'ws') {
  return { Type: 'bind', Source: join(home, 'gpuaas/workloads/i', name), Target: `/${name}` };
}

function ownFolder(path: string, owner = uid): void {
  mkdirSync(path, { recursive: true });
  chownSync(path, owner, owner);
}

describe('prepareMounts', () => {
  it("makes missing folders, the user's own and closed to others", async () => {
    const { mounts, created } = await prepareMounts([scratch('a'), { ...scratch('b'), ReadOnly: true }], policy);

    for (const path of [scratch('a').Source, scratch('b').Source]) {
      expect(statSync(path)).toMatchObject({ uid, gid });
      expect(statSync(path).mode & 0o777).toBe(0o700);
    }
    expect(statSync(join(home, 'gpuaas/workloads')).mode & 0o777).toBe(0o750);
    expect(mounts.map(({ target, readOnly }) => [target, readOnly])).toEqual([
      ['/a', false],
      ['/b', true],
    ]);
    expect(created).toEqual(['', 'a', 'b'].map((name) => join(home, 'gpuaas/workloads/i', name)));
  });

  it('makes the folders above many workloads once where all of them are the first', async () => {
    const afterAWhile = () => new Promise((resolve) => setTimeout(resolve, Math.random() * 2));
    for (let round = 0; round < 60; round += 1) {
      rmSync(join(home, 'gpuaas'), { recursive: true, force: true });
      const first = ['a', 'b', 'c', 'd'].map(async (name) => {
        await afterAWhile();
        return await prepareMounts([{ ...scratch(), Source: join(home, `gpuaas/workloads/${name}/ws`) }], policy);
      });

      expect((await Promise.all(first)).map(({ created }) => created.length)).toEqual([2, 2, 2, 2]);
    }
  });

  it('leaves folders that are there as they are', async () => {
    await prepareMounts([scratch()], policy);
    chmodSync(scratch().Source, 0o755);
    writeFileSync(join(scratch().Source, 'kept'), 'x');

    const { created } = await prepareMounts([scratch()], policy);

    expect(created).toEqual([]);
    expect(statSync(scratch().Source).mode & 0o777).toBe(0o755);
    expect(existsSync(join(scratch().Source, 'kept'))).toBe(true);
  });

  it('says where the kernel will show each folder', async () => {
    const { mounts } = await prepareMounts([scratch()], policy);

    expect(mounts[0]?.device).toMatch(/^\d+:\d+$/);
    expect(scratch().Source.endsWith(mounts[0]?.root ?? 'none')).toBe(true);
  });

  it.each(['gpuaas', 'gpuaas/workloads', 'gpuaas/workloads/i', 'gpuaas/workloads/i/ws'])(
    'refuses a link at %s and leaves nothing',
    async (name) => {
      const target = join(folder, 'target');
      ownFolder(join(target, 'workloads/i/ws'));
      ownFolder(dirname(join(home, name)));
      symlinkSync(target, join(home, name));

      await expect(prepareMounts([scratch('first'), scratch()].slice(-1), policy)).rejects.toMatchObject({
        code: 'mount.refused',
        detail: { path: join(home, name) },
      });
    },
  );

  it('refuses a link above the home, and a home that is one', async () => {
    symlinkSync(home, join(folder, 'link'));
    const linked = { ...policy, allocation: { ...policy.allocation, home: join(folder, 'link') } };

    await expect(
      prepareMounts([{ Source: join(folder, 'link/gpuaas/workloads/i/ws'), Target: '/ws' }], linked),
    ).rejects.toMatchObject({ code: 'mount.refused', detail: { path: join(folder, 'link') } });
  });

  it('refuses a home that is not there, and makes none', async () => {
    const absent = join(folder, 'absent');
    const homeless = { ...policy, allocation: { ...policy.allocation, home: absent } };

    await expect(
      prepareMounts([{ Source: join(absent, 'gpuaas/workloads/i/ws'), Target: '/ws' }], homeless),
    ).rejects.toMatchObject({ code: 'mount.refused', detail: { path: absent } });
    expect(existsSync(absent)).toBe(false);
  });

  it('refuses a file in the place of a folder', async () => {
    writeFileSync(join(home, 'gpuaas'), 'x');

    await expect(prepareMounts([scratch()], policy)).rejects.toMatchObject({ detail: { path: join(home, 'gpuaas') } });
  });

  it.each([
    ['gpuaas', 61_999],
    ['gpuaas/workloads/i/ws', 61_999],
    ['gpuaas/workloads/i/ws', 0],
  ])('refuses %s of user %i', async (name, owner) => {
    ownFolder(dirname(join(home, name)));
    ownFolder(join(home, name), owner);

    await expect(prepareMounts([scratch()], policy)).rejects.toMatchObject({ detail: { path: join(home, name) } });
  });

  it.each([
    (base: string) => join(base, '../elsewhere'),
    (base: string) => `${base}/gpuaas/../../x`,
    (base: string) => `${base}/gpuaas//x`,
    (base: string) => `${base}/gpuaas/./x`,
    (base: string) => `${base}2/gpuaas/workloads/i/ws`,
    (base: string) => `${base}/.ssh`,
    () => '/etc',
    () => '',
  ])('refuses a source outside: %s', async (sourceOf) => {
    await expect(prepareMounts([{ Source: sourceOf(home), Target: '/x' }], policy)).rejects.toMatchObject({
      code: 'mount.refused',
    });
  });

  it('takes back what it made when a later mount is refused', async () => {
    await prepareMounts([scratch('kept')], policy);
    symlinkSync('/etc', scratch('link').Source);

    await expect(prepareMounts([scratch('new'), scratch('link')], policy)).rejects.toMatchObject({
      code: 'mount.refused',
    });
    expect(existsSync(scratch('new').Source)).toBe(false);
    expect(existsSync(scratch('kept').Source)).toBe(true);
  });

  it('takes back only what is still empty', async () => {
    const { created } = await prepareMounts([scratch('a'), scratch('b')], policy);
    writeFileSync(join(scratch('a').Source, 'x'), '');

    await removeCreated(created);

    expect(existsSync(scratch('a').Source)).toBe(true);
    expect(existsSync(scratch('b').Source)).toBe(false);
  });

  it('needs the folder of secrets to be there and of the user', async () => {
    const secrets = { Source: join(folder, 'secrets/i'), Target: '/run/secrets', ReadOnly: true };
    await expect(prepareMounts([secrets], policy)).rejects.toMatchObject({ code: 'mount.refused' });
    ownFolder(secrets.Source, 0);
    await expect(prepareMounts([secrets], policy)).rejects.toMatchObject({ code: 'mount.refused' });
    chownSync(secrets.Source, uid, gid);

    expect((await prepareMounts([secrets], policy)).mounts).toHaveLength(1);
  });
});

describe('prepareMounts while somebody swaps folders and links', () => {
  it('never gives away nor reports anything outside', async ({ signal }) => {
    const outside = join(folder, 'outside');
    mkdirSync(join(outside, 'workloads/i/ws'), { recursive: true, mode: 0o700 });
    const racer = new Worker(racerCode, { eval: true, workerData: { home, outside } });
    const results = { ok: 0, refused: 0 };

    while (!signal.aborted && (results.ok < 10 || results.refused < 80)) {
      try {
        const { mounts } = await prepareMounts([scratch()], policy);
        expect(mounts[0]?.root.endsWith('/home/gpuaas/workloads/i/ws')).toBe(true);
        results.ok += 1;
      } catch (error) {
        if (!isExpected(error)) throw error;
        results.refused += 1;
      }
    }
    await racer.terminate();

    for (const path of [
      outside,
      join(outside, 'workloads'),
      join(outside, 'workloads/i'),
      join(outside, 'workloads/i/ws'),
    ]) {
      expect(statSync(path)).toMatchObject({ uid: 0, gid: 0 });
      expect(statSync(path).mode & 0o777).toBe(0o700);
    }
  });
});

/** A refusal, or a folder that vanished between two steps. */
function isExpected(error: unknown): boolean {
  const { code } = error as { code?: string };
  return code === 'mount.refused' || code === 'ENOENT' || code === 'ENOTEMPTY';
}

/** Puts a link to `outside`, or a real folder, at each level in turn, as fast as it can, until it is ended. */
const racerCode = `
const fs = require('node:fs'); const { join } = require('node:path');
const { home, outside } = require('node:worker_threads').workerData;
const levels = [['gpuaas', ''], ['gpuaas/workloads', 'workloads'], ['gpuaas/workloads/i', 'workloads/i'], ['gpuaas/workloads/i/ws', 'workloads/i/ws']];
for (let turn = 0; ; turn += 1) {
  const [name, target] = levels[turn % levels.length];
  const path = join(home, name), aside = join(home, 'aside' + (turn % 50));
  try { fs.rmSync(aside, { recursive: true, force: true }); } catch {}
  try { fs.renameSync(path, aside); } catch {}
  try { fs.symlinkSync(join(outside, target), path); } catch {}
  for (let spin = 0; spin < 2000; spin += 1) {}
  try { fs.unlinkSync(path); } catch {}
  for (let spin = 0; spin < 200000; spin += 1) {}
}`;

describe('stateAbove', () => {
  const state = async () => await stateAbove((await prepareMounts([scratch()], policy)).mounts, policy);

  it.each(['ws', 'i', 'workloads', 'gpuaas'])('tells where %s was moved away and back', async (name) => {
    const before = await state();
    await untilTold();
    const place = scratch().Source.slice(0, scratch().Source.indexOf(`/${name}`) + name.length + 1);

    renameSync(place, join(home, 'aside'));
    // The neighbours that come and go meanwhile hide nothing.
    renameSync(join(home, 'aside'), place);
    mkdirSync(join(home, 'gpuaas/workloads/neighbour'));

    expect(await state()).not.toBe(before);
  });

  /** Times of files go on in steps: what changes now can be told from what changed before. */
  async function untilTold(): Promise<void> {
    const made = statSync(scratch().Source, { bigint: true }).ctimeNs;
    await eventually(() => {
      writeFileSync(join(folder, 'clock'), '');
      expect(statSync(join(folder, 'clock'), { bigint: true }).mtimeNs).toBeGreaterThan(made);
    });
  }

  it('stays the same for the first with folders of its own while a neighbour is the first with storage of a project', async () => {
    const before = await state();
    await prepareMounts([{ Type: 'bind', Source: join(home, 'gpuaas/projects/p'), Target: '/storage' }], policy);

    expect(await state()).toBe(before);
  });

  it('stays the same while neighbours come and go, and while the workload writes', async () => {
    const before = await state();

    mkdirSync(join(home, 'gpuaas/workloads/neighbour'));
    rmdirSync(join(home, 'gpuaas/workloads/neighbour'));
    writeFileSync(join(scratch().Source, 'file'), '');

    expect(await state()).toBe(before);
  });
});
