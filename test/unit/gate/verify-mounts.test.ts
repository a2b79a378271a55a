import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseMountTable } from '../../../src/gate/mount-table.ts';
import { type AllowedMounts, compareMounts } from '../../../src/gate/verify-mounts.ts';
import { cgroupV1, cgroupV2, containerId, gofer, nvidiaCard } from './mount-tables.ts';

const bind = {
  ...{ source: '/home/u/gpuaas/workloads/i/ws', target: '/workspace', readOnly: false },
  ...{ device: '254:0', root: '/home/u/gpuaas/workloads/i/ws' },
};
const allowed: AllowedMounts = {
  containerId,
  binds: [bind],
  named: [],
  volumes: [],
  readOnlyBy: 'mount',
  cards: false,
};

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

  it('are those of a volume of a job where one is asked for', () => {
    const at = (over: object) => {
      const volume = { name: 'gpuaas-job-1.data', target: '/workspace', readOnly: false };
      return codes(cgroupV1.replaceAll(bind.root, '/var/lib/docker/volumes/gpuaas-job-1.data/_data'), {
        ...{ binds: [], named: [{ ...volume, ...over }] },
      });
    };

    expect(at({})).toEqual([]);
    expect(at({ readOnly: true })).toEqual(['/workspace writable']);
    expect(at({ name: 'gpuaas-job-2.data' })).toEqual(['/workspace wrong_volume']);
    expect(at({ name: 'job-1.data' })).toEqual(['/workspace wrong_volume']);
    expect(at({ target: '/data' })).toEqual(['/workspace unexpected', '/data missing']);
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

describe('the mounts of a container with a card', () => {
  const withCard = `${cgroupV1}${nvidiaCard}`;

  it("are right with what NVIDIA's toolkit brings", () => {
    expect(codes(withCard, { cards: true })).toEqual([]);
  });

  it('are right as a real engine showed them for a real card, whose driver lies in a folder of its own', () => {
    const real = readFileSync(join(import.meta.dirname, '../../../fixtures/gpus/h100-580/mountinfo.txt'), 'utf8');
    const own = { containerId: 'c'.repeat(64), binds: [] };

    expect(codes(real, { ...own, cards: true })).toEqual([]);
    expect(codes(real, own)[0]).toBe('/usr/local/nvidia/bin/nvidia-cuda-mps-control unexpected');
  });

  it.each([
    ['of the host', 'ext4', '/', '/run/nvidia-ctk-hook/1b8e3a52-31c0-4d7c-9d0e-2f9c1b7a6e54'],
    ['that holds more', 'tmpfs', '/x', '/run/nvidia-ctk-hook/1b8e3a52-31c0-4d7c-9d0e-2f9c1b7a6e54'],
    ['of another name', 'tmpfs', '/', '/run/nvidia-ctk-hook/../x'],
    ['all over it', 'tmpfs', '/', '/run/nvidia-ctk-hook'],
  ])('are wrong where the folder in which the toolkit writes is one %s', (_what, type, root, at) => {
    const text = `${withCard}399 74 0:63 ${root} ${at} rw,relatime - ${type} x rw\n`;

    expect(codes(text, { cards: true })).toEqual([`${at} unexpected`]);
  });

  it('are each wrong without one, but for an empty folder in /proc', () => {
    expect(codes(withCard)).toHaveLength(nvidiaCard.trimEnd().split('\n').length - 1);
  });

  it.each([
    ['the file system of the host', '254:0 / /usr/lib/x86_64-linux-gnu/libnvidia-evil.so.1 ro'],
    ['a folder of the host', '254:0 /etc /usr/lib/x86_64-linux-gnu/libcuda.so.1 ro'],
    ['another file under the name of one of the driver', '254:0 /etc/shadow /usr/bin/nvidia-smi2 ro'],
    ['a file that can be written to', '254:0 /usr/bin/nvidia-debugdump /usr/bin/nvidia-debugdump rw'],
    ["a file at a place that is no driver's", '254:0 /root/nvidia.key /root/nvidia.key ro'],
    ['what else lies beside the driver', '254:0 /glibc/libc.so.6 /usr/local/nvidia/glibc/libc.so.6 ro'],
    ['a library of another kind', '254:0 /usr/lib/libc.so.6 /usr/lib/libc.so.6 ro'],
    ['a way out of the place', '254:0 /x/libcuda.so /usr/lib/../../root/libcuda.so.d ro'],
    ['a disk', '0:5 /vda /dev/vda rw'],
    ['another device under the name of a card', '0:5 /vda /dev/nvidia9 rw'],
    ['the sockets of others', '0:25 /docker.sock /run/docker.sock rw'],
    ['the folder of a daemon', '0:25 /nvidia-persistenced /run/nvidia-persistenced rw'],
    ['all that the driver tells', '0:22 /driver/nvidia/gpus /proc/driver/nvidia/gpus ro'],
  ])('are wrong with %s', (_what, mount) => {
    const [device, root, at, options] = mount.split(' ');
    const type = device === '0:5' ? 'devtmpfs' : device === '0:22' ? 'proc' : 'ext4';

    const text = `${withCard}399 74 ${device} ${root} ${at} ${options},relatime - ${type} x rw\n`;

    expect(codes(text, { cards: true })).toEqual([`${at} unexpected`]);
  });

  it('are wrong where a folder of the workload brings something with the name of a driver', () => {
    const at = '/workspace/usr/lib/libcuda.so.1';
    const text = `${withCard}399 92 254:0 /x/libcuda.so.1 ${at} ro - ext4 /dev/vda rw\n`;
    const system = { ...bind, target: '/usr' };

    expect(codes(text, { cards: true })).toEqual([`${at} unexpected`]);
    expect(codes(withCard.replace(' /workspace ', ' /usr '), { cards: true, binds: [system] })).toContain(
      '/usr/bin/nvidia-smi unexpected',
    );
  });
});
