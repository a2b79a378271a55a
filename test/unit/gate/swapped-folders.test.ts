/**
 * The allocation's user swaps folders at exactly the wrong moment: between two system calls of the gate. Each test acts
 * after one chosen call, so that what a race would show once in a million times is shown every time.
 */
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import promises from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { prepareMounts } from '../../../src/gate/mount-folders.ts';
import { removeTree } from '../../../src/gate/remove-tree.ts';
import type { HostPolicy } from '../../../src/policy/host-policy.ts';
import { replaceBuiltin } from '../../support/replace-builtin.ts';

/** Runs after each call of `node:fs/promises` that a test can act behind. */
const behind = { act: (_call: string, _path: string) => undefined as unknown };
const watched = ['mkdir', 'open', 'opendir'] as const;
replaceBuiltin(
  promises,
  Object.fromEntries(
    watched.map((name) => {
      const real = promises[name] as (path: string, ...rest: unknown[]) => Promise<unknown>;
      const watching = async (path: string, ...rest: unknown[]) => {
        const result = await real(path, ...rest);
        behind.act(name, path);
        return result;
      };
      return [name, watching];
    }),
  ),
);

const uid = 61_777;
let folder: string;
let home: string;
let policy: HostPolicy;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gate-swap-'));
  home = join(folder, 'home');
  mkdirSync(home);
  chownSync(home, uid, uid);
  policy = {
    allocation: { id: 'a', uid, gid: uid, home },
    secrets_dir: join(folder, 'secrets'),
    inputs: { dir: join(folder, 'inputs') },
  } as HostPolicy;
});
afterEach(() => {
  behind.act = () => undefined;
  rmSync(folder, { recursive: true, force: true });
});

/** Acts once, behind the first such call on an entry of this name. */
function actBehind(call: string, name: string, act: () => void): void {
  behind.act = (done, path) => {
    if (done !== call || basename(path) !== name) return;
    behind.act = () => undefined;
    act();
  };
}

const place = () => join(home, 'gpuaas/workloads/i/ws');
const prepare = () => prepareMounts([{ Source: place(), Target: '/ws' }], policy);

it("never gives away root's folder that is moved to where one was just made", async () => {
  const treasure = join(home, 'treasure');
  mkdirSync(treasure, { mode: 0o700 });
  writeFileSync(join(treasure, 'key'), 'secret');
  actBehind('mkdir', 'ws', () => {
    renameSync(place(), join(home, 'aside'));
    renameSync(treasure, place());
  });

  await expect(prepare()).rejects.toMatchObject({ code: 'mount.refused', detail: { path: place() } });
  expect(statSync(place())).toMatchObject({ uid: 0 });
  expect(existsSync(join(place(), 'key'))).toBe(true);
});

it('never gives away what a link points to that replaces a folder just made', async () => {
  const outside = join(folder, 'outside');
  mkdirSync(outside, { mode: 0o700 });
  actBehind('mkdir', 'ws', () => {
    renameSync(place(), join(home, 'aside'));
    symlinkSync(outside, place());
  });

  await expect(prepare()).rejects.toMatchObject({ code: 'mount.refused' });
  expect(statSync(outside)).toMatchObject({ uid: 0 });
});

it('makes folders in the folder it checked, wherever that was moved', async () => {
  const outside = join(folder, 'outside');
  mkdirSync(join(outside, 'i'), { recursive: true });
  mkdirSync(join(home, 'gpuaas/workloads'), { recursive: true });
  actBehind('open', 'workloads', () => {
    renameSync(join(home, 'gpuaas/workloads'), join(home, 'moved'));
    symlinkSync(outside, join(home, 'gpuaas/workloads'));
  });

  await expect(prepare()).rejects.toMatchObject({
    code: 'mount.refused',
    detail: { reason: expect.stringContaining('moved') },
  });
  expect(readdirSync(join(outside, 'i'))).toEqual([]);
});

it('does not vouch for a folder that was moved after it was opened', async () => {
  await prepare();
  actBehind('open', 'ws', () => {
    renameSync(place(), join(home, 'aside'));
    symlinkSync('/etc', place());
  });

  await expect(prepare()).rejects.toMatchObject({ code: 'mount.refused', detail: { path: place() } });
});

it('removes what is in the folder it opened, not what is now at its path', async () => {
  const root = join(folder, 'root');
  const outside = join(folder, 'outside');
  for (const path of [join(root, 'a'), outside]) {
    mkdirSync(join(path, 'sub'), { recursive: true });
    writeFileSync(join(path, 'file'), '');
    writeFileSync(join(path, 'sub/file'), '');
  }
  actBehind('open', 'a', () => {
    renameSync(join(root, 'a'), join(root, 'b'));
    symlinkSync(outside, join(root, 'a'));
  });

  expect(await removeTree(root)).toBe(true);
  expect(readdirSync(outside, { recursive: true }).sort()).toEqual(['file', 'sub', 'sub/file']);
});

it('comes to an end when two folders change places while one of them is emptied', async () => {
  const root = join(folder, 'root');
  for (const name of ['a', 'b']) {
    mkdirSync(join(root, name), { recursive: true });
    writeFileSync(join(root, name, 'file'), '');
  }
  let done = false;
  let opened = 0;
  behind.act = (call) => {
    // The second folder that is opened for its entries is the first of the two.
    if (call !== 'opendir' || done || !existsSync(join(root, 'a'))) return;
    opened += 1;
    if (opened < 2) return;
    done = true;
    renameSync(join(root, 'a'), join(root, 'c'));
    renameSync(join(root, 'b'), join(root, 'a'));
    renameSync(join(root, 'c'), join(root, 'b'));
  };

  expect(await removeTree(root, { maxMs: 5_000 })).toBe(true);
  expect(done).toBe(true);
  expect(existsSync(root)).toBe(false);
});

it('stops for a client that has gone', async () => {
  const root = join(folder, 'root');
  mkdirSync(join(root, 'a'), { recursive: true });

  await expect(removeTree(root, { signal: AbortSignal.abort(new Error('gone')) })).rejects.toThrow('gone');
  expect(existsSync(join(root, 'a'))).toBe(true);
});

it('removes a link that replaces a folder between the look and the open', async () => {
  const root = join(folder, 'root');
  const outside = join(folder, 'outside');
  mkdirSync(join(root, 'a/b'), { recursive: true });
  mkdirSync(outside);
  writeFileSync(join(outside, 'b'), 'kept');
  let done = false;
  behind.act = (call) => {
    if (call !== 'opendir' || done) return;
    done = true;
    renameSync(join(root, 'a'), join(root, 'c'));
    symlinkSync(outside, join(root, 'a'));
  };

  expect(await removeTree(root)).toBe(true);
  expect(readdirSync(outside)).toEqual(['b']);
});
