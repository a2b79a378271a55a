import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { findProgram, knownPlaces, searchFolders } from '../../../src/host/programs.ts';
import { standIn, testFolder } from './stand-ins.ts';

it('searches PATH first and then the known places, each folder once (G-190)', () => {
  const folders = searchFolders('/custom/bin:/usr/bin/:/custom/bin', ['/usr/bin', '/snap/bin']);

  expect(folders).toEqual(['/custom/bin', '/usr/bin', '/snap/bin']);
});

it('knows the places where packages put their programs even without a PATH (G-190)', () => {
  expect(searchFolders(undefined)).toEqual([...knownPlaces]);
  expect(knownPlaces).toEqual(
    expect.arrayContaining([
      '/usr/bin',
      '/usr/local/bin',
      '/usr/sbin',
      '/snap/bin',
      '/opt/bin',
      '/usr/local/nvidia/bin',
    ]),
  );
});

it('leaves out entries of PATH that depend on the current folder', () => {
  expect(searchFolders(':bin:./x:../y', [])).toEqual([]);
});

it('finds the first executable file and skips what only looks like one', async () => {
  const [first, second, third] = [testFolder(), testFolder(), testFolder()];
  mkdirSync(join(first, 'podman'));
  writeFileSync(join(second, 'podman'), 'not executable', { mode: 0o644 });
  const program = standIn(third, 'podman', 'exit 0');

  expect(await findProgram('podman', ['/does/not/exist', first, second, third])).toBe(program);
});

it('follows a link to a program and skips a broken one', async () => {
  const [broken, linked] = [testFolder(), testFolder()];
  symlinkSync('/does/not/exist', join(broken, 'docker'));
  symlinkSync('/bin/sh', join(linked, 'docker'));

  expect(await findProgram('docker', [broken, linked])).toBe(join(linked, 'docker'));
  expect(await findProgram('docker', [broken])).toBeNull();
});
