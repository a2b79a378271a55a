import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { deviceNode, readCdiNames } from '../../../src/host/card-ways.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'card-ways-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

it('reads the names of CDI devices from YAML and JSON, and skips what it cannot read', async () => {
  const [one, two] = [join(folder, 'one'), join(folder, 'two')];
  mkdirSync(one);
  mkdirSync(two);
  const yaml = 'cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n- name: GPU-1a\n  containerEdits: {}\n- name: all\n';
  writeFileSync(join(one, 'nvidia.yaml'), yaml);
  writeFileSync(join(two, 'other.json'), JSON.stringify({ kind: 'vendor.com/net', devices: [{ name: 'eth' }, null] }));
  writeFileSync(join(two, 'broken.yaml'), 'kind: [');
  writeFileSync(join(two, 'empty.yml'), '');
  writeFileSync(join(two, 'notes.txt'), yaml.replaceAll('GPU-1a', 'GPU-2b'));

  const names = await readCdiNames([one, join(folder, 'absent'), two]);

  expect([...names].sort()).toEqual(['nvidia.com/gpu=GPU-1a', 'nvidia.com/gpu=all', 'vendor.com/net=eth']);
});

it('finds a device node with the group that owns it', async () => {
  mkdirSync(join(folder, 'dev/dri'), { recursive: true });
  writeFileSync(join(folder, 'dev/dri/renderD129'), '');
  const { gid } = statSync(join(folder, 'dev/dri/renderD129'));

  expect(await deviceNode('/dev/dri/renderD129', folder)).toEqual({ path: '/dev/dri/renderD129', group: gid });
  expect(await deviceNode('/dev/kfd', folder)).toBeUndefined();
});
