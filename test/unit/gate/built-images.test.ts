import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type BuiltImage, BuiltImages } from '../../../src/gate/built-images.ts';
import { memoryFolder } from '../../support/memory-folder.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(memoryFolder(), 'built-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const digit = (name: string) => name.repeat(64);
const record = (image: string): BuiltImage => ({
  ...{ project: 'project-1', key: digit('1'), revision: digit('2'), image: `sha256:${digit(image)}`, bases: [] },
  ...{ engine: '20.10', bytes: 1, built_at: '2026-11-25T01:00:00Z' },
});

describe('records of images that were built', () => {
  it('are those that are there now: one that was found before another took its place changes nothing', async () => {
    const built = await BuiltImages.open(folder);
    const [old, next] = [record('a'), record('b')];
    built.note(old);
    built.note(next);

    expect(built.touch(old)).toBe(false);
    built.forget(old);

    expect(built.all()).toEqual([next]);
    expect((await BuiltImages.open(folder)).all()).toEqual([next]);
  });

  it('stay when they are used, and do not come back once they are gone', async () => {
    const built = await BuiltImages.open(folder);
    const one = record('a');
    built.note(one);

    expect(built.touch(one)).toBe(true);
    expect((await BuiltImages.open(folder)).all()).toEqual([{ ...one, used_at: expect.any(String) }]);
    built.forget(one);

    expect(built.touch(one)).toBe(false);
    expect([built.all(), readdirSync(join(folder, 'builds'))]).toEqual([[], []]);
  });
});
