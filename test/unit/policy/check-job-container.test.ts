import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { labels, networkName } from '../../../src/contract/names.ts';
import { cacheVolume } from '../../../src/policy/caches.ts';
import { checkContainerRequest } from '../../../src/policy/check-container.ts';
import type { ContainerRequest } from '../../../src/policy/container-request.ts';
import type { JobContainerRequest } from '../../../src/policy/job-request.ts';
import { renderJobContainer } from '../../../src/policy/render-job-container.ts';
import { groupOfLabels } from '../../../src/policy/service-group.ts';
import { injected, lookUp, names, objectsIn, token } from './accepted-request.ts';
import { dangerous } from './dangerous-options.ts';
import { acceptedJobRequest, jobInput } from './job-samples.ts';
import { acceptedRequest, policy, image as sampleImage } from './samples.ts';

const accepted = acceptedJobRequest();
const someCache = cacheVolume({ allocation: 'alloc-1', project: 'project-7', revision: 'a'.repeat(64) }, 'pip');
const image = { ...sampleImage, volumes: ['/var/cache'] };
const pathsOf = (request: unknown, over: object = {}) =>
  checkContainerRequest({ name: accepted.name, policy, image, ...over, request }).map(({ path }) => path);
const places = objectsIn(accepted.request);

/** What a container of a job may say and no other may; inputs that call themselves a volume are refused for the rest of it. */
const ofJobs = new Set([
  ...['/WorkingDir "/"', '/User ""', '/HostConfig/ReadonlyRootfs true'],
  ...[0, 1, 2].map((index) => `/HostConfig/Mounts/${index}/Type "volume"`),
]);

describe('a request of a job', () => {
  it('is accepted as it is rendered', () => {
    expect(pathsOf(accepted.request)).toEqual([]);
  });

  it.each(places)('is refused with every dangerous option of the engine at "%s" (G-216)', (place) => {
    for (const [key, values] of Object.entries(dangerous)) {
      const path = `${place}/${token(key)}`;
      for (const value of values.filter((each) => !ofJobs.has(`${path} ${JSON.stringify(each)}`))) {
        const paths = pathsOf(injected(place, key, value, accepted.request));
        expect(names(paths, path), `${path}: ${JSON.stringify(value)} -> ${paths}`).toBe(true);
      }
    }
  });

  it('is refused with any other word, with any value', () => {
    fc.assert(
      fc.property(fc.constantFrom(...places), fc.string(), fc.jsonValue({ maxDepth: 2 }), (place, key, value) => {
        fc.pre(!/^\d{1,5}\/tcp$/.test(key) && !Object.hasOwn(lookUp(accepted.request, place), key));
        fc.pre(!['Cmd', 'Entrypoint', 'WorkingDir', 'ReadonlyRootfs'].includes(key));
        return names(pathsOf(injected(place, key, value, accepted.request)), `${place}/${token(key)}`);
      }),
      { numRuns: 500 },
    );
  });

  it('may leave nothing out but what is optional', () => {
    const removable = places.flatMap((place) =>
      Object.keys(lookUp(accepted.request, place))
        .filter((key) => {
          const request = structuredClone(accepted.request);
          delete lookUp(request, place)[key];
          return pathsOf(request).length === 0;
        })
        .map((key) => `${place}/${token(key)}`),
    );

    expect(removable).toEqual([
      '/Cmd',
      '/Entrypoint',
      '/WorkingDir',
      '/Labels/gpuaas.endpoints',
      '/Labels/gpuaas.aliases',
    ]);
  });

  type Change = (request: JobContainerRequest, config: JobContainerRequest['HostConfig']) => unknown;
  const label =
    (name: string, value: string): Change =>
    ({ Labels }) => {
      Labels[`gpuaas.${name}`] = value;
    };
  const mount = (over: object, index = 0): Change => {
    return (_request, { Mounts }) => Object.assign(Mounts[index] ?? {}, over);
  };
  const config =
    (over: object): Change =>
    (_request, found) =>
      Object.assign(found, over);
  const bindOf = (Source: string): Change =>
    config({
      Mounts: [{ Type: 'bind', Source, Target: '/x', ReadOnly: true, BindOptions: { Propagation: 'rprivate' } }],
    });

  it.each<[string, string, Change]>([
    ['a user of its own', '/User', (request) => Object.assign(request, { User: '0:0' })],
    ['another instance', '/HostConfig/Mounts/0/Source', label('instance', 'job-2')],
    ['another allocation', '/Labels/gpuaas.allocation', label('allocation', 'x')],
    ['another kind', '/User', label('kind', 'app')],
    ['no step', '', ({ Labels }) => delete Labels['gpuaas.service']],
    ['a step that is none', '/Labels/gpuaas.service', label('service', 'A.b')],
    ['readiness checks', '/Labels/gpuaas.readiness', label('readiness', '[]')],
    ['an alias that is no name', '/Labels/gpuaas.aliases', label('aliases', 'a b')],
    ['an alias with an address in it', '/Labels/gpuaas.aliases', label('aliases', 'a:1')],
    ['an alias twice', '/Labels/gpuaas.aliases', label('aliases', 'a,a')],
    ['an empty alias', '/Labels/gpuaas.aliases', label('aliases', 'a,')],
    [
      'too many aliases',
      '/Labels/gpuaas.aliases',
      label('aliases', [...Array(17).keys()].map((n) => `a${n}`).join(',')),
    ],
    [
      'a label of Compose',
      '/Labels/com.docker.compose.project',
      ({ Labels }) => {
        Labels['com.docker.compose.project'] = 'gpuaas-job-1';
      },
    ],
    ['cards that it did not ask for', '/Labels/gpuaas.gpus', label('gpus', 'GPU-1')],
    ['a loader variable', '/Env/5', ({ Env }) => Env.push('LD_AUDIT=/x')],
    ['all cards', '/Env/5', ({ Env }) => Env.push('NVIDIA_VISIBLE_DEVICES=all')],
    ['a cache without a revision', '/Labels/gpuaas.caches', label('caches', 'pip:pip')],
    ['a cache that is not in its labels', '/HostConfig/Mounts/0/Source', mount({ Source: someCache })],
    ['a volume of another job', '/HostConfig/Mounts/0/Source', mount({ Source: 'gpuaas-job-2.data' })],
    [
      'a volume of a job whose name begins like its own',
      '/HostConfig/Mounts/0/Source',
      mount({ Source: 'gpuaas-job-10.data' }),
    ],
    ['a volume of nobody', '/HostConfig/Mounts/0/Source', mount({ Source: 'other' })],
    ['an anonymous volume', '/HostConfig/Mounts/0/Source', mount({ Source: '' })],
    ['a folder as a volume', '/HostConfig/Mounts/0/Source', mount({ Source: '/etc' })],
    ['a driver', '/HostConfig/Mounts/0/VolumeOptions', mount({ VolumeOptions: { DriverConfig: { Name: 'x' } } })],
    ['labels of a volume', '/HostConfig/Mounts/0/VolumeOptions', mount({ VolumeOptions: { Labels: {} } })],
    ['a part of a volume', '/HostConfig/Mounts/0/VolumeOptions', mount({ VolumeOptions: { Subpath: '../x' } })],
    ['inputs that may be written', '/HostConfig/Mounts/2/ReadOnly', mount({ ReadOnly: false }, 2)],
    [
      'inputs of another job',
      '/HostConfig/Mounts/2/Source',
      mount({ Source: '/var/lib/gpuaas-inputs/jobs/job-2/m' }, 2),
    ],
    ['all inputs', '/HostConfig/Mounts/2/Source', mount({ Source: '/var/lib/gpuaas-inputs/jobs/job-1' }, 2)],
    [
      'a folder in the inputs',
      '/HostConfig/Mounts/2/Source',
      mount({ Source: '/var/lib/gpuaas-inputs/jobs/job-1/m/x' }, 2),
    ],
    [
      'what is above the inputs',
      '/HostConfig/Mounts/2/Source',
      mount({ Source: '/var/lib/gpuaas-inputs/jobs/job-1/..' }, 2),
    ],
    ['the cache', '/HostConfig/Mounts/0/Source', bindOf('/var/lib/gpuaas-inputs/cache')],
    ['a home', '/HostConfig/Mounts/0/Source', bindOf('/home/tenant/gpuaas/workloads/job-1/ws')],
    ['storage of the project', '/HostConfig/Mounts/0/Source', bindOf('/home/tenant/gpuaas/projects/project-1/models')],
    ['secrets', '/HostConfig/Mounts/0/Source', bindOf('/run/gpuaas-gate/secrets/job-1.train')],
    ["the engine's socket", '/HostConfig/Mounts/0/Source', bindOf('/var/run/docker.sock')],
    ['a volume over programs', '/HostConfig/Mounts/0/Target', mount({ Target: '/bin' })],
    ['a volume over libraries', '/HostConfig/Mounts/0/Target', mount({ Target: '/usr/lib/x86_64-linux-gnu' })],
    ['a volume over all of /usr', '/HostConfig/Mounts/0/Target', mount({ Target: '/usr' })],
    ['a volume over devices', '/HostConfig/Mounts/0/Target', mount({ Target: '/dev/shm' })],
    ['a volume over the root', '/HostConfig/Mounts/0/Target', mount({ Target: '/' })],
    ['a volume in a volume', '/HostConfig/Mounts/1/Target', mount({ Target: '/data/x' }, 1)],
    [
      'a folder of the kernel to start in',
      '/WorkingDir',
      (request) => Object.assign(request, { WorkingDir: '/proc/self/fd/8' }),
    ],
    ['another network', '/HostConfig/NetworkMode', config({ NetworkMode: 'gpuaas-job-2' })],
    ['ports without a network', '/HostConfig/NetworkMode', config({ NetworkMode: 'none' })],
    ['fewer capabilities dropped', '/HostConfig/CapDrop', config({ CapDrop: ['MKNOD', 'NET_RAW', 'SETFCAP'] })],
    ['a root that may be written, said so', '/HostConfig/ReadonlyRootfs', config({ ReadonlyRootfs: false })],
    ['more processes', '/HostConfig/PidsLimit', config({ PidsLimit: 4097 })],
    ['a runtime that is no sandbox', '/HostConfig/Runtime', config({ Runtime: 'nvidia' })],
    [
      'a port of the host',
      '/HostConfig/PortBindings/8080~1tcp/0/HostPort',
      config({ PortBindings: { '8080/tcp': [{ HostIp: '127.0.0.1', HostPort: '0080' }] } }),
    ],
    [
      'a name in a network of its choice',
      '/NetworkingConfig',
      (request) =>
        Object.assign(request, { NetworkingConfig: { EndpointsConfig: { 'gpuaas-job-1': { Aliases: ['x'] } } } }),
    ],
    [
      'a health check',
      '/Healthcheck/Test/0',
      (request) => Object.assign(request, { Healthcheck: { Test: ['CMD', 'x'] } }),
    ],
  ])('is refused with %s', (_what, path, change) => {
    const request = structuredClone(accepted.request);
    change(request, request.HostConfig);

    expect(pathsOf(request)).toContain(path);
  });

  it('is refused under another name, and for an image that starts where the kernel shows itself', () => {
    expect(pathsOf(accepted.request, { name: 'gpuaas-job-1' })).toEqual(['']);
    expect(pathsOf(accepted.request, { name: 'gpuaas-job-1.other' })).toEqual(['']);
    expect(pathsOf(accepted.request, { image: { ...image, workingDir: '/sys' } })).toEqual(['/Image']);
    expect(pathsOf(accepted.request, { image: { ...image, volumes: ['/run'] } })).toEqual(['/Image']);
    expect(pathsOf(accepted.request, { image: { ...image, volumes: ['/data/x'] } })).toEqual(['/Image']);
  });

  it.each([
    ['its own project', {}, []],
    ['another project', { [labels.project]: 'project-2' }, ['/HostConfig/NetworkMode']],
    ['another revision', { [labels.revision]: 'b'.repeat(64) }, ['/HostConfig/NetworkMode']],
    ['another allocation', { [labels.allocation]: 'alloc-2' }, ['/HostConfig/NetworkMode']],
    ['services made of something else', { [labels.shared]: 'e'.repeat(64) }, ['/HostConfig/NetworkMode']],
  ])('in the network of services that jobs of %s share is refused at %j', (_whose, others, refused) => {
    const request = structuredClone(accepted.request);
    Object.assign(request.Labels, { [labels.aliases]: '', [labels.peers]: 'embedder,db' });
    Object.assign(request.Labels, { [labels.revision]: 'a'.repeat(64), [labels.shared]: 'd'.repeat(64) });
    request.HostConfig.NetworkMode = networkName(groupOfLabels({ ...request.Labels, ...others }) ?? '');

    expect(pathsOf(request)).toEqual(refused);
  });

  it('where other jobs are is found by no name, and finds its own services alone', () => {
    const request = structuredClone(accepted.request);
    Object.assign(request.Labels, { [labels.revision]: 'a'.repeat(64), [labels.shared]: 'd'.repeat(64) });
    request.HostConfig.NetworkMode = networkName(groupOfLabels(request.Labels) ?? '');
    const paths = (labelled: object) => pathsOf({ ...request, Labels: { ...request.Labels, ...labelled } });
    const at = '/Labels/gpuaas.peers';

    expect(paths({ [labels.aliases]: '', [labels.peers]: '' })).toEqual([]);
    expect(paths({ [labels.aliases]: '' })).toEqual([at]);
    expect(paths({ [labels.aliases]: 'model', [labels.peers]: '' })).toEqual([at]);
    for (const peers of ['a,a', 'a b', '../x', [...Array(14).keys()].map((n) => `a${n}`).join(',')]) {
      expect(paths({ [labels.aliases]: '', [labels.peers]: peers })).toEqual([at]);
    }
    expect(pathsOf({ ...accepted.request, Labels: { ...accepted.request.Labels, [labels.peers]: 'a' } })).toEqual([at]);
  });

  it('is a shared service only of the revision in its labels', () => {
    const [revision, made_of] = ['a'.repeat(64), 'd'.repeat(64)];
    const of = { [labels.revision]: revision, [labels.shared]: made_of };
    const id = groupOfLabels({ ...accepted.request.Labels, ...of }) ?? '';
    const { identity } = jobInput();
    const { name, request } = renderJobContainer(
      jobInput({}, { identity: { ...identity, job_id: id }, group: { id, revision, made_of } }),
    );
    const paths = (labelled: object) => pathsOf({ ...request, Labels: { ...request.Labels, ...labelled } }, { name });

    expect(paths({})).toEqual([]);
    expect(paths({ [labels.project]: 'project-2' })).toContain('/Labels/gpuaas.instance');
    expect(paths({ [labels.revision]: '' })).toContain('/Labels/gpuaas.instance');
    expect(paths({ [labels.shared]: 'e'.repeat(64) })).toContain('/Labels/gpuaas.instance');
  });

  it('may be without a network and with a root that nobody writes to', () => {
    const { Labels, HostConfig, ...rest } = structuredClone(accepted.request);
    const alone = {
      ...rest,
      Labels: { ...Labels, 'gpuaas.endpoints': '', 'gpuaas.aliases': '' },
      HostConfig: { ...HostConfig, PortBindings: {}, NetworkMode: 'none', ReadonlyRootfs: true },
    };

    expect(pathsOf(alone)).toEqual([]);
  });
});

describe('a request of anything else', () => {
  const workload = acceptedRequest();
  const judge = (change: (request: ContainerRequest & { HostConfig: { Mounts: object[] } }) => unknown) => {
    const request = structuredClone(workload.request);
    change(request);
    return checkContainerRequest({ name: workload.name, policy, image: sampleImage, request }).map(({ path }) => path);
  };
  const volume = { Type: 'volume', Source: 'gpuaas-inst-1.data', Target: '/x', ReadOnly: false };

  it.each<[string, string, (request: ContainerRequest & { HostConfig: { Mounts: object[] } }) => unknown]>([
    ['that claims to be of a job', '/User', ({ Labels }) => Object.assign(Labels, { 'gpuaas.kind': 'job' })],
    ['with another kind', '/Labels/gpuaas.kind', ({ Labels }) => Object.assign(Labels, { 'gpuaas.kind': 'app' })],
    [
      'with a kind that says nothing',
      '/Labels/gpuaas.kind',
      ({ Labels }) => Object.assign(Labels, { 'gpuaas.kind': '' }),
    ],
    ['with aliases', '/Labels/gpuaas.aliases', ({ Labels }) => Object.assign(Labels, { 'gpuaas.aliases': 'web' })],
    ['with a volume', '/HostConfig/Mounts/0/Type', ({ HostConfig }) => HostConfig.Mounts.unshift(volume)],
    ['without a user', '/User', (request) => Object.assign(request, { User: '' })],
    [
      'with inputs',
      '/HostConfig/Mounts/0/Source',
      ({ HostConfig }) => Object.assign(HostConfig.Mounts[0] ?? {}, { Source: '/var/lib/gpuaas-inputs/jobs/inst-1/m' }),
    ],
    [
      'without a network',
      '/HostConfig/NetworkMode',
      ({ HostConfig }) => Object.assign(HostConfig, { NetworkMode: 'none' }),
    ],
    [
      'with the capabilities of a job',
      '/HostConfig/CapDrop',
      ({ HostConfig }) => Object.assign(HostConfig, { CapDrop: ['MKNOD', 'NET_RAW', 'SETFCAP', 'SYS_CHROOT'] }),
    ],
    ['with a folder to start in', '/WorkingDir', (request) => Object.assign(request, { WorkingDir: '/x' })],
    [
      'with a closed root',
      '/HostConfig/ReadonlyRootfs',
      ({ HostConfig }) => Object.assign(HostConfig, { ReadonlyRootfs: true }),
    ],
    [
      'with a target that only jobs have',
      '/HostConfig/Mounts/0/Target',
      ({ HostConfig }) => Object.assign(HostConfig.Mounts[0] ?? {}, { Target: '/root/x' }),
    ],
  ])('is refused %s', (_what, path, change) => {
    const paths = judge(change);

    expect(names(paths, path), paths.join()).toBe(true);
  });
});
