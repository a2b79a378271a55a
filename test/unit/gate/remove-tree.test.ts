import { execFileSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { removeTree } from '../../../src/gate/remove-tree.ts';

let folder: string;
let root: string;
let outside: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gate-remove-'));
  root = join(folder, 'root');
  outside = join(folder, 'outside');
  mkdirSync(join(outside, 'deep'), { recursive: true });
  writeFileSync(join(outside, 'deep/kept'), 'kept');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('removeTree', () => {
  it('removes a folder with everything in it', async () => {
    mkdirSync(join(root, 'a/b/c'), { recursive: true });
    mkdirSync(join(root, 'closed'), { mode: 0 });
    writeFileSync(join(root, 'a/b/file'), 'x');

    expect(await removeTree(root)).toBe(true);
    expect(existsSync(root)).toBe(false);
  });

  it('says so where there was nothing, also above', async () => {
    expect(await removeTree(root)).toBe(false);
    expect(await removeTree(join(root, 'x/y'))).toBe(false);
  });

  it('removes links as links', async () => {
    mkdirSync(root);
    symlinkSync(outside, join(root, 'link'));
    symlinkSync(join(outside, 'deep/kept'), join(root, 'file-link'));
    symlinkSync('/nowhere', join(root, 'dangling'));

    expect(await removeTree(root)).toBe(true);
    expect(readFileSync(join(outside, 'deep/kept'), 'utf8')).toBe('kept');
  });

  it.each([
    ['link', () => symlinkSync(outside, root)],
    ['file', () => writeFileSync(root, '')],
    ['pipe', () => execFileSync('mkfifo', [root])],
  ])('removes a root that has become a %s as what it is', async (_what, make) => {
    make();

    expect(await removeTree(root)).toBe(true);
    expect(() => lstatSync(root)).toThrow('ENOENT');
    expect(readdirSync(outside)).toEqual(['deep']);
  });

  it('refuses a folder above the root that is a link', async () => {
    symlinkSync(outside, join(folder, 'link'));

    await expect(removeTree(join(folder, 'link/deep'))).rejects.toMatchObject({ code: 'mount.refused' });
    expect(existsSync(join(outside, 'deep/kept'))).toBe(true);
  });

  it('removes a tree that is deeper than paths and open files allow', async () => {
    mkdirSync(root);
    makeDeep(root, 1000);

    expect(await removeTree(root)).toBe(true);
    expect(existsSync(root)).toBe(false);
  });

  it('never leaves the root while somebody swaps folders and links', async () => {
    for (let turn = 0; turn < 200; turn += 1) writeFileSync(join(outside, `file-${turn}`), 'kept');
    const before = readdirSync(outside);
    const turns = new Int32Array(new SharedArrayBuffer(4));
    const racer = new Worker(racerCode, { eval: true, workerData: { root, outside, turns } });

    while (Atomics.load(turns, 0) < 200) {
      await removeTree(root, { maxMs: 50 }).catch((error: { code?: string }) => {
        if (error.code !== 'mount.refused') throw error;
      });
    }
    await racer.terminate();
    await removeTree(root);

    expect(existsSync(root)).toBe(false);
    expect(readdirSync(outside)).toEqual(before);
    expect(readFileSync(join(outside, 'deep/kept'), 'utf8')).toBe('kept');
  });
});

/** Nested folders beyond PATH_MAX: made bottom up in pieces of which each has a short path. */
function makeDeep(base: string, depth: number): void {
  const piece = 50;
  let inner: string | undefined;
  for (let made = 0; made < depth; made += piece) {
    const path = join(base, `p${made}`);
    mkdirSync(join(path, ...Array<string>(piece).fill('dddd')), { recursive: true });
    if (inner !== undefined) renameSync(inner, join(path, ...Array<string>(piece).fill('dddd'), 'in'));
    inner = path;
  }
}

/** Until it is ended: a folder of the tree that is now a real one, now a link to the outside. */
const racerCode = `
const fs = require('node:fs'); const { join } = require('node:path');
const { root, outside, turns } = require('node:worker_threads').workerData;
for (let turn = 0; ; turn = Atomics.add(turns, 0, 1) + 1) {
  const path = join(root, 'a/b');
  for (let spin = 0; spin < 100000; spin += 1) {}
  try { fs.mkdirSync(join(path, 'c'), { recursive: true }); fs.writeFileSync(join(path, 'f'), ''); } catch {}
  try { fs.renameSync(path, join(root, 'a/x' + turn)); fs.symlinkSync(outside, path); } catch {}
  for (let spin = 0; spin < 5000; spin += 1) {}
  try { fs.unlinkSync(path); } catch {}
}`;
