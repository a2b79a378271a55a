import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadSealKey, peekSealKey } from '../../../src/gate/seal-key.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gate-key-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('loadSealKey', () => {
  it('makes a key for its owner alone, and finds it again', async () => {
    const state = join(folder, 'a/b');

    const key = await loadSealKey(state);

    expect(key).toHaveLength(32);
    expect(await loadSealKey(state)).toEqual(key);
    expect(statSync(state).mode & 0o777).toBe(0o700);
    expect(statSync(join(state, 'seal.key')).mode & 0o777).toBe(0o600);
  });

  it('gives the same key to all that start at once', async () => {
    const keys = await Promise.all(Array.from({ length: 8 }, () => loadSealKey(join(folder, 's'))));

    expect(new Set(keys.map((key) => key.toString('hex'))).size).toBe(1);
  });

  it.each([0, 31, 33])('refuses a key of %i bytes instead of replacing it', async (bytes) => {
    writeFileSync(join(folder, 'seal.key'), Buffer.alloc(bytes), { mode: 0o600 });

    await expect(loadSealKey(folder)).rejects.toMatchObject({ code: 'config.invalid' });
    expect(statSync(join(folder, 'seal.key')).size).toBe(bytes);
  });

  it('refuses a key that others can read', async () => {
    await loadSealKey(folder);
    chmodSync(join(folder, 'seal.key'), 0o640);

    await expect(loadSealKey(folder)).rejects.toMatchObject({ code: 'config.invalid' });
  });

  it('refuses a link in the place of key or folder', async () => {
    mkdirSync(join(folder, 'real'));
    symlinkSync(join(folder, 'real'), join(folder, 'link'));
    symlinkSync(join(folder, 'other.key'), join(folder, 'real/seal.key'));

    await expect(loadSealKey(join(folder, 'link'))).rejects.toMatchObject({ code: 'config.invalid' });
    await expect(loadSealKey(join(folder, 'real'))).rejects.toMatchObject({ code: 'config.invalid' });
  });
});

describe('peekSealKey', () => {
  it('gives the key that is there, and else one of its own that it keeps nowhere', async () => {
    const key = await loadSealKey(join(folder, 'with'));

    const found = await peekSealKey(join(folder, 'with'));
    const others = [await peekSealKey(join(folder, 'without')), await peekSealKey(join(folder, 'without'))];

    expect(found).toEqual(key);
    expect(others.map(({ length }) => length)).toEqual([32, 32]);
    expect(others[0]).not.toEqual(others[1]);
    expect(existsSync(join(folder, 'without'))).toBe(false);
  });
});
