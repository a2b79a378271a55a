import { describe, expect, it } from 'vitest';
import { parseMountTable } from '../../../src/gate/mount-table.ts';
import { type AllowedMounts, compareMounts } from '../../../src/gate/verify-mounts.ts';
import { cgroupV1, cgroupV2, containerId, gofer } from './mount-tables.ts';

const bind = {
  ...{ source: '/home/u/gpuaas/workloads/i/ws', target: '/workspace', readOnly: false },
  ...{ device: '254:0', root: '/home/u/gpuaas/workloads/i/ws' },
};
const allowed: AllowedMounts = { containerId, binds: [bind], volumes: [], readOnlyBy: 'mount' };

function codes(text: string, over: Partial<AllowedMounts> = {}): string[] {
  return compareMounts(parseMountTable(text), { ...allowed, ...over }).map(({ path, code }) => `${path} ${code}`);
}

function changed(line: RegExp, replacement: string): string {
  const text = cgroupV1.replace(line, replacement);
  expect(text).not.toBe(cgroupV1);
  return text;
}

describe('the mounts of a started container', () => {
  it('are right on control groups version 1', () => {
    expect(codes(cgroupV1)).toEqual([]);
  });

  it('are right on control groups version 2, with a volume that the image declares', () => {
    expect(codes(cgroupV2, { binds: [{ ...bind, device: '8:1' }], volumes: ['/data'] })).toEqual([]);
  });

  it("are right as gVisor's file server shows them, which keeps nothing read-only itself", () => {
    const binds = [{ ...bind, readOnly: true }];

    expect(codes(gofer, { binds, volumes: ['/data'], readOnlyBy: 'sandbox' })).toEqual([]);
    expect(codes(gofer, { binds, volumes: ['/data'] })).toEqual(['/sbin/docker-init writable', '/workspace writable']);
  });

  it.each([
    ['another folder', / \/home\/u\/gpuaas\/workloads\/i\/ws \/workspace/, ' /etc /workspace'],
    ['the folder of another workload', /workloads\/i\/ws \/workspace/, 'workloads/j/ws /workspace'],
    ['a folder below the right one', /i\/ws \/workspace/, 'i/ws/x /workspace'],
    ['the same path of another file system', /254:0 \/home/, '254:1 /home'],
    ['a deleted folder', /i\/ws \/workspace/, 'i/ws//deleted /workspace'],
  ])('are wrong with %s', (_what, line, replacement) => {
    expect(codes(changed(line, replacement))).toEqual(['/workspace wrong_folder']);
  });

  it('are wrong where a read-only folder can be written to', () => {
    expect(codes(cgroupV1, { binds: [{ ...bind, readOnly: true }] })).toEqual(['/workspace writable']);
  });

  it('are wrong where one is missing', () => {
    expect(codes(changed(/^92 .*\n/m, ''))).toEqual(['/workspace missing']);
  });

  it('are wrong where a second one lies over the right one', () => {
    expect(codes(`${cgroupV1}99 74 254:0 /etc /workspace rw - ext4 /dev/vda rw\n`)).toEqual([
      '/workspace mounted_twice',
    ]);
  });

  it.each([
    ['/host', '/', 'ext4'],
    ['/run/docker.sock', '/run/docker.sock', 'tmpfs'],
    ['/workspace/inner', '/x', 'ext4'],
    ['/proc', '/', 'ext4'],
    ['/proc/1', '/etc', 'ext4'],
    ['/proc/keys2', '/secrets', 'tmpfs'],
    ['/dev/sda', '/sda', 'devtmpfs'],
    ['/dev/shm2', '/', 'tmpfs'],
    ['/sys/fs/cgroup/../x', '/', 'cgroup'],
    ['/sys/kernel', '/', 'debugfs'],
    ['/etc/passwd', '/etc/passwd', 'ext4'],
  ])('are wrong with one that nobody asked for: %s', (mountPoint, root, fsType) => {
    const text = `${cgroupV1}99 74 254:0 ${root} ${mountPoint} rw - ${fsType} x rw\n`;

    expect(codes(text).map((code) => code.split(' ')[0])).toEqual([mountPoint]);
  });

  it("are wrong where the engine's files are not those of this container", () => {
    expect(codes(changed(/containers\/4f2d/, 'containers/5f2d'))).toEqual(['/etc/resolv.conf wrong_file']);
  });

  it('are wrong where a volume is not one that the engine made for it', () => {
    const volumes = ['/data'];
    const named = cgroupV2.replace('5'.repeat(64), 'somebody');

    expect(codes(named, { binds: [{ ...bind, device: '8:1' }], volumes })).toEqual(['/data wrong_volume']);
    expect(codes(cgroupV2, { binds: [{ ...bind, device: '8:1' }] })).toEqual(['/data unexpected']);
  });

  it('are wrong where init could be changed', () => {
    expect(codes(changed(/docker-init ro/, 'docker-init rw'))).toEqual(['/sbin/docker-init writable']);
  });
});
