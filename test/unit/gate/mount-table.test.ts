import { describe, expect, it } from 'vitest';
import { parseMountTable, placeOf } from '../../../src/gate/mount-table.ts';

describe('a mount table', () => {
  it('is read field by field, with and without optional fields, and unescaped', () => {
    const text =
      '36 35 98:0 /mnt1\\040a /mnt2\\134b rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue\n' +
      '37 35 0:5 / /dev ro - tmpfs none rw\n';

    expect(parseMountTable(text)).toEqual([
      {
        ...{ id: 36, parent: 35, device: '98:0', root: '/mnt1 a', mountPoint: '/mnt2\\b' },
        ...{ options: ['rw', 'noatime'], fsType: 'ext3', source: '/dev/root' },
      },
      {
        ...{ id: 37, parent: 35, device: '0:5', root: '/', mountPoint: '/dev' },
        ...{ options: ['ro'], fsType: 'tmpfs', source: 'none' },
      },
    ]);
  });

  it.each(['x', '36 35 98:0 / /mnt rw', '36 35 98:0 / - ext3 /dev/root rw'])('is not read by half: %s', (line) => {
    expect(() => parseMountTable(line)).toThrow('unreadable line');
  });
});

describe('placeOf', () => {
  const table = parseMountTable(
    '1 0 8:1 / / rw - ext4 /dev/sda1 rw\n' +
      '2 1 0:40 /@home /home rw - btrfs /dev/sdb rw\n' +
      '3 2 8:2 / /home/u/gpuaas rw - xfs /dev/sdc rw\n',
  );

  it.each([
    [1, '/srv/x', { device: '8:1', root: '/srv/x' }],
    [2, '/home/u', { device: '0:40', root: '/@home/u' }],
    [3, '/home/u/gpuaas/workloads/a', { device: '8:2', root: '/workloads/a' }],
    [3, '/home/u/gpuaas', { device: '8:2', root: '/' }],
  ])('finds on mount %i where %s is in its file system', (id, path, place) => {
    expect(placeOf(path, id, table)).toEqual(place);
  });

  it.each([
    [9, '/x'],
    [2, '/homework'],
  ])('does not guess: mount %i, %s', (id, path) => {
    expect(() => placeOf(path, id, table)).toThrow('no mount');
  });
});
