import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { judge } from '../../../src/contract/validate.ts';
import { WorkloadOciLaunchParams } from '../../../src/contract/workload-oci-launch.ts';
import type { ImageFacts } from '../../../src/policy/container-request.ts';
import { renderContainer } from '../../../src/policy/render-container.ts';
import { accepted, check, pathsOf } from './accepted-request.ts';
import { anyImage, digest, image, imageId, inputOf, policy, validParams } from './samples.ts';

describe('checkContainerRequest', () => {
  it('accepts whatever the first function renders (G-216)', () => {
    fc.assert(
      fc.property(validParams, anyImage, (params, facts) => {
        const { name, request } = renderContainer(inputOf(params, facts));

        expect(judge(WorkloadOciLaunchParams, params).ok).toBe(true);
        expect(check(JSON.parse(JSON.stringify(request)), { name, image: facts })).toEqual([]);
      }),
      { numRuns: 200 },
    );
  });

  it.each([undefined, null, true, 0, '', 'x', [], {}, [accepted.request]])(
    'refuses %j in place of a request',
    (value) => {
      expect(check(value)).not.toEqual([]);
    },
  );
});

describe('what surrounds an accepted request', () => {
  it.each<[what: string, facts: Partial<ImageFacts>, path: string]>([
    ['that the engine holds under another digest', { repoDigests: [] }, '/Image'],
    ['that hides a variable behind a NUL character', { env: ['A=1\0LD_PRELOAD=/x'] }, '/Image'],
    ['with a loader variable nobody removes', { env: ['GCONV_PATH=/x'] }, '/Env'],
    ['with a volume inside a mount', { volumes: ['/workspace/sub'] }, '/Image'],
    ['with a volume over the kernel', { volumes: ['/proc'] }, '/Image'],
    ['that starts inside a mount', { workingDir: '/workspace/sub' }, '/Image'],
    ['that starts inside a mount, written crookedly', { workingDir: '//x/../workspace/./sub/' }, '/Image'],
    ['that starts in an open file of the runtime', { workingDir: '/proc/self/fd/8' }, '/Image'],
    ['that starts in /dev', { workingDir: '/dev' }, '/Image'],
    ['with a volume that asks for devices', { volumes: ['/var/run/nvidia-container-devices/all'] }, '/Image'],
  ])('refuses an image %s', (_what, facts, path) => {
    expect(pathsOf(accepted.request, { image: { ...image, ...facts } })).toEqual([path]);
  });

  it.each(['', '/', '/workspace', '/app', '/procedures', '/workspace2/sub'])(
    'takes an image that starts in "%s"',
    (workingDir) => {
      expect(pathsOf(accepted.request, { image: { ...image, workingDir } })).toEqual([]);
    },
  );

  it('must keep cards away also where the image does not speak of them: its runtime may give all then', () => {
    const request = structuredClone(accepted.request);
    request.Env = request.Env.filter((entry) => !entry.startsWith('NVIDIA_VISIBLE_DEVICES'));

    expect(pathsOf(request, { image: { ...image, env: [] } })).toEqual(['/Env']);
  });

  it('obeys the policy of the gate, not that of the agent', () => {
    const narrow = {
      ...policy,
      allocation: { ...policy.allocation, id: 'alloc-9', uid: 2000, home: '/home/other' },
      registries: [],
      project_storage: false,
      sandboxes: { gvisor: 'runsc' },
      limits: { pids: 100, open_files: 1024 },
      secrets_dir: '/run/other',
    };

    expect(new Set(pathsOf(accepted.request, { policy: narrow }))).toEqual(
      new Set([
        ...['/Image', '/User', '/Labels/gpuaas.allocation', '/HostConfig/Runtime', '/HostConfig/PidsLimit'],
        ...['/HostConfig/Ulimits/0', '/HostConfig/Mounts/0/Source', '/HostConfig/Mounts/1/Source'],
        ...['/HostConfig/Mounts/2/Source', '/HostConfig/Mounts/2/Target'],
      ]),
    );
  });

  it('refuses project storage where there is none (G-139)', () => {
    expect(pathsOf(accepted.request, { policy: { ...policy, project_storage: false } })).toEqual([
      '/HostConfig/Mounts/1/Source',
    ]);
  });

  it('accepts a local image only while the operator lists it', () => {
    const request = { ...accepted.request, Image: imageId };

    expect(pathsOf(request)).toEqual([]);
    expect(pathsOf(request, { policy: { ...policy, local_images: [] } })).toEqual(['/Image']);
    expect(pathsOf(request, { image: { ...image, id: digest } })).toEqual(['/Image']);
  });
});
