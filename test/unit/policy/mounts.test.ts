import { posix } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Mount } from '../../../src/contract/workload-oci-launch.ts';
import {
  checkMounts,
  checkStorage,
  checkTargets,
  describeBadVolumes,
  mountSource,
} from '../../../src/policy/mounts.ts';
import { params, policy, refusalOf } from './samples.ts';

const at = (path: string, changes: Partial<Mount> = {}): Mount => ({
  name: 'data',
  path,
  mode: 'scratch',
  read_only: false,
  ...changes,
});
const codes = (mounts: Mount[]) => checkMounts(mounts).map(({ path, code }) => `${path} ${code}`);

describe('checkMounts', () => {
  it.each([
    '/workspace',
    '/data',
    '/home/user',
    '/home',
    '/mnt/models',
    '/media/x',
    '/srv/www',
    '/opt/app',
    '/opt/venv2',
    '/tmp',
    '/var/lib/app',
    '/var/cache',
    '/etcetera',
    '/runner',
    '/devices',
    '/procession',
    '/a.b_c-d+e@f=g~h%i',
    '/...',
    '/..data',
    '/PROC',
  ])('allows a mount at %s (G-70)', (path) => {
    expect(checkMounts([at(path)])).toEqual([]);
  });

  it.each([
    '/',
    '/proc',
    '/proc/1/root',
    '/sys',
    '/sys/fs/cgroup',
    '/dev',
    '/dev/shm',
    '/etc',
    '/etc/passwd',
    '/etc/ld.so.preload',
    '/usr',
    '/usr/local/bin',
    '/bin',
    '/sbin/docker-init',
    '/lib',
    '/lib32',
    '/lib64/ld-linux-x86-64.so.2',
    '/libx32',
    '/boot',
    '/root',
    '/root/.ssh',
    '/run',
    '/run/secrets',
    '/run/secrets/token',
    '/run/docker.sock',
    '/var/run',
    '/var/run/docker.sock',
    '/var/run/nvidia-container-devices/all',
    '/var/lock',
    '/var',
    '/opt',
    '/opt/venv',
    '/opt/venv/bin',
    '/.dockerenv',
  ])('refuses a mount at the system path %s', (path) => {
    expect(codes([at(path)])).toEqual(['/mounts/0/path system_path']);
  });

  it.each([
    '',
    'workspace',
    './workspace',
    '/workspace/',
    '//workspace',
    '/workspace//x',
    '/workspace/..',
    '/workspace/../etc',
    '/workspace/./x',
    '/..',
    '/.',
    '/data:ro',
    '/data,rw',
    '/da ta',
    '/data\n',
    '/data\0',
    '/data\\x',
    '/d\u00e4ta',
    '/data\u202e',
    '/$HOME',
    '/data"',
    `/${'a'.repeat(256)}`,
  ])('refuses the path %j, which is not plain', (path) => {
    expect(codes([at(path)])).toEqual(['/mounts/0/path not_plain']);
  });

  it.each([
    ['/data', '/data'],
    ['/data', '/data/x'],
    ['/data/x', '/data'],
    ['/data', '/data/x/y'],
  ])('refuses %s together with %s', (first, second) => {
    expect(codes([at(first), at(second, { name: 'other' })])).toEqual(['/mounts/1/path overlap']);
  });

  it('allows neighbours whose names begin alike', () => {
    expect(checkMounts([at('/data'), at('/data2', { name: 'b' }), at('/data-x', { name: 'c' })])).toEqual([]);
  });

  it('refuses one folder at two places, but not one name in both modes', () => {
    expect(codes([at('/a'), at('/b')])).toEqual(['/mounts/1/name repeated']);
    expect(codes([at('/a'), at('/b', { mode: 'project_storage' })])).toEqual([]);
  });

  it.each(['', '..', '.', 'a/b', '../x', 'a.b', '-a', 'a b', 'a\0', 'a'.repeat(65)])('refuses the name %j', (name) => {
    expect(codes([at('/data', { name })])).toEqual(['/mounts/0/name pattern']);
  });

  it('accepts only targets that stay where they are and touch no system path', () => {
    const segment = fc.constantFrom(
      '..',
      '.',
      '',
      'etc',
      'usr',
      'proc',
      'run',
      'var',
      'data',
      'x',
      'opt',
      'venv',
      'a:b',
      '\u00e9',
    );
    fc.assert(
      fc.property(fc.array(segment, { maxLength: 5 }), fc.boolean(), (segments, absolute) => {
        const target = `${absolute ? '/' : ''}${segments.join('/')}`;
        const accepted = checkTargets([target], String).length === 0;
        const [first = '', second = ''] = posix.normalize(target).split('/').slice(1);
        const system =
          ['', 'etc', 'usr', 'proc', 'run'].includes(first) ||
          (first === 'var' && ['', 'run'].includes(second)) ||
          (first === 'opt' && ['', 'venv'].includes(second));
        const plain = target.startsWith('/') && posix.normalize(target) === target && /^[a-z./]*[a-z.]$/.test(target);
        return accepted === (plain && !system);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('mountSource', () => {
  it("puts scratch below the instance and project storage below the project, in the user's home (G-159)", () => {
    const source = (mode: Mount['mode']) => mountSource(policy, params.identity, at('/x', { mode }));

    expect(source('scratch')).toBe('/home/tenant/gpuaas/workloads/inst-1/data');
    expect(source('project_storage')).toBe('/home/tenant/gpuaas/projects/project-1/data');
  });

  it('refuses project storage where the allocation has none, and says so (G-139)', () => {
    const mount = at('/x', { mode: 'project_storage' });
    const without = { ...policy, project_storage: false };

    const refused = refusalOf(() => mountSource(without, params.identity, mount));

    expect(refused.code).toBe('mount.refused');
    expect(refused.message).toContain('storage_not_ready');
    expect(checkStorage([mount], without)).toEqual([
      expect.objectContaining({ path: '/mounts/0/mode', code: 'storage_not_ready' }),
    ]);
    expect(checkStorage([mount], policy)).toEqual([]);
  });

  it('never leaves its root, whatever the name', () => {
    const name = fc.oneof(fc.string(), fc.constantFrom('..', '../..', 'a/../..', '/', '.', 'a\0b', 'ok', 'also-ok_1'));
    fc.assert(
      fc.property(name, (value) => {
        let source: string;
        try {
          source = mountSource(policy, params.identity, at('/x', { name: value }));
        } catch (error) {
          return (error as { code?: string }).code === 'mount.refused';
        }
        return posix.dirname(posix.normalize(source)) === '/home/tenant/gpuaas/workloads/inst-1';
      }),
    );
  });
});

describe('describeBadVolumes', () => {
  it.each([
    '/',
    '',
    '/proc',
    '/dev/shm',
    '/sys/../proc',
    'proc',
    '//dev',
    '/run',
    '/var/run/nvidia-container-devices/all',
  ])('refuses an image with the volume %j', (volume) => {
    expect(describeBadVolumes([volume], [])).toHaveLength(1);
  });

  it('refuses a volume inside a mount, where the engine would make a folder as root', () => {
    expect(describeBadVolumes(['/workspace/sub', '/workspace/../workspace/x'], ['/workspace'])).toHaveLength(2);
  });

  it('lets the other volumes be', () => {
    expect(describeBadVolumes(['/workspace', '/data', '/workspace2/x', '/etc/app'], ['/workspace', '/data/x'])).toEqual(
      [],
    );
  });
});
