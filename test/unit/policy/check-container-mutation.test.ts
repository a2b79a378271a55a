import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ContainerRequest } from '../../../src/policy/container-request.ts';
import { accepted, check, injected, leavesIn, lookUp, pathsOf } from './accepted-request.ts';
import { digest, imageId } from './samples.ts';

type Change = (request: ContainerRequest, config: ContainerRequest['HostConfig']) => void;
const home = '/home/tenant/gpuaas';
const setMount = (index: number, changes: Partial<ContainerRequest['HostConfig']['Mounts'][number]>): Change => {
  return (_request, { Mounts }) => Object.assign(Mounts[index] ?? {}, changes);
};
const setLabel = (name: string, value: string): Change => {
  return ({ Labels }) => {
    Labels[`gpuaas.${name}`] = value;
  };
};
const addEnv = (...entries: string[]): Change => {
  return ({ Env }) => {
    Env.push(...entries);
  };
};
const withoutEnv = (gone: string): Change => {
  return (request) => {
    request.Env = request.Env.filter((entry) => entry !== gone);
  };
};
const set =
  (changes: Partial<ContainerRequest>): Change =>
  (request) =>
    Object.assign(request, changes);
const setConfig =
  (changes: object): Change =>
  (_request, config) =>
    Object.assign(config, changes);
const sources = [
  ...['/', '/etc', '/var/run/docker.sock', '/home/tenant', home, `${home}/workloads`, `${home}/workloads/inst-1`],
  ...[
    `${home}/workloads/inst-1/`,
    `${home}/workloads/inst-1/..`,
    `${home}/workloads/inst-1/.`,
    `${home}/workloads/inst-1//a`,
  ],
  ...[`${home}/workloads/inst-1/../inst-2/a`, `${home}/workloads/inst-2/workspace`, `${home}/workloads/inst-1/a/b`],
  ...[
    `${home}/projects/project-2/models`,
    `${home}/projects/project-1`,
    `${home}/workloads/inst-1/a b`,
    '/run/gpuaas-gate/secrets',
  ],
  ...[
    '/run/gpuaas-gate/secrets/inst-2',
    '/run/gpuaas-gate/secrets/inst-1/token',
    `/${home}/workloads/inst-1/workspace`,
    '/proc/1/root',
  ],
  ...[`${home}/workloads/inst-1/work.space`, `${home}/workloads/inst-1/\u00e4`, 'home/tenant', ''],
];

describe('an accepted request with one thing changed', () => {
  it.each<[what: string, path: string, change: Change]>([
    ['the user root', '/User', set({ User: '0:0' })],
    ['another user', '/User', set({ User: '1002:1002' })],
    ['the group root', '/User', set({ User: '1001:0' })],
    ['a tag', '/Image', set({ Image: '127.0.0.1:5000/curated/runtime-cpu:latest' })],
    ['another digest', '/Image', set({ Image: `127.0.0.1:5000/curated/runtime-cpu@sha256:${'0'.repeat(64)}` })],
    ['another registry', '/Image', set({ Image: `evil.example/curated/runtime-cpu@${digest}` })],
    ['an image id nobody listed', '/Image', set({ Image: `sha256:${'c'.repeat(64)}` })],
    ['a short image id', '/Image', set({ Image: imageId.slice(7) })],
    ['an image name', '/Image', set({ Image: 'busybox' })],
    ['a loader variable', '/Env/7', addEnv('LD_AUDIT=/x')],
    ['a loader variable behind its removal', '/Env/7', addEnv('LD_PRELOAD=/x')],
    ['cards behind no cards', '/Env/7', addEnv('NVIDIA_VISIBLE_DEVICES=all')],
    ['no cards twice', '/Env/7', addEnv('NVIDIA_VISIBLE_DEVICES=void')],
    ['no cards taken back', '/Env/7', addEnv('NVIDIA_VISIBLE_DEVICES')],
    ['a variable given twice', '/Env/7', addEnv('HOME=/')],
    ['a variable without a name', '/Env/7', addEnv('=x')],
    ['an empty variable', '/Env/7', addEnv('')],
    ['a variable with a blank in its name', '/Env/7', addEnv(' HOME=/')],
    ['an ordinary variable removed', '/Env/7', addEnv('PATH')],
    ['the word about cards missing', '/Env', withoutEnv('NVIDIA_VISIBLE_DEVICES=void')],
    ["a loader variable of the image's left in", '/Env', withoutEnv('LD_PRELOAD')],
    ["a device variable of the image's left in", '/Env', withoutEnv('NVIDIA_REQUIRE_CUDA')],
    ['another instance in its label', '/HostConfig/NetworkMode', setLabel('instance', 'inst-2')],
    ['an instance that climbs', '/Labels/gpuaas.instance', setLabel('instance', '../x')],
    ['another allocation', '/Labels/gpuaas.allocation', setLabel('allocation', 'alloc-2')],
    ['a project that climbs', '/Labels/gpuaas.project', setLabel('project', '..')],
    ['an empty task', '/Labels/gpuaas.task', setLabel('task', '')],
    ['a spec that is none', '/Labels/gpuaas.spec', setLabel('spec', 'x')],
    ['a negative fencing', '/Labels/gpuaas.fencing', setLabel('fencing', '-1')],
    ['a fencing beyond counting', '/Labels/gpuaas.fencing', setLabel('fencing', '9999999999999999')],
    ['a fencing with an exponent', '/Labels/gpuaas.fencing', setLabel('fencing', '1e3')],
    ['a restart policy that is none', '/Labels/gpuaas.restart', setLabel('restart', 'sometimes:3')],
    ['a restart policy without a count', '/Labels/gpuaas.restart', setLabel('restart', 'always')],
    ['more restarts than a launch may ask for', '/Labels/gpuaas.restart', setLabel('restart', 'always:101')],
    ['a restart policy with more behind it', '/Labels/gpuaas.restart', setLabel('restart', 'no:0:x')],
    ['no word of readiness checks', '/Labels/gpuaas.readiness', setLabel('readiness', '')],
    ['readiness checks that are no JSON', '/Labels/gpuaas.readiness', setLabel('readiness', '[{')],
    ['a readiness check of no kind', '/Labels/gpuaas.readiness', setLabel('readiness', '[{"type":"icmp"}]')],
    ['readiness checks without an end', '/Labels/gpuaas.readiness', setLabel('readiness', `[${' '.repeat(9000)}]`)],
    ['an endpoint on a port that is not bound', '/Labels/gpuaas.endpoints', setLabel('endpoints', 'web:http:22')],
    ['an endpoint of another protocol', '/Labels/gpuaas.endpoints', setLabel('endpoints', 'web:ssh:18888')],
    ['an endpoint with a part too many', '/Labels/gpuaas.endpoints', setLabel('endpoints', 'web:http:18888:x')],
    ['two endpoints of one name', '/Labels/gpuaas.endpoints', setLabel('endpoints', 'web:http:18888,web:tcp:19000')],
    ['endpoints that are none', '/Labels/gpuaas.endpoints', setLabel('endpoints', ',')],
    ['the network of another instance', '/HostConfig/NetworkMode', setConfig({ NetworkMode: 'gpuaas-inst-2' })],
    ['swap', '/HostConfig/MemorySwap', setConfig({ MemorySwap: 2 ** 32 })],
    ['unlimited swap', '/HostConfig/MemorySwap', setConfig({ MemorySwap: -1 })],
    ['no memory limit', '/HostConfig/Memory', setConfig({ Memory: 0, MemorySwap: 0 })],
    ['no CPU limit', '/HostConfig/NanoCpus', setConfig({ NanoCpus: 0 })],
    ['more shared memory than memory', '/HostConfig/ShmSize', setConfig({ ShmSize: 2 ** 31 + 1 })],
    ['more processes', '/HostConfig/PidsLimit', setConfig({ PidsLimit: 4097 })],
    ['any number of processes', '/HostConfig/PidsLimit', setConfig({ PidsLimit: -1 })],
    ['more open files', '/HostConfig/Ulimits/0', setUlimit(0, 1, 65537)],
    ['any number of open files', '/HostConfig/Ulimits/0', setUlimit(0, -1, -1)],
    ['a soft limit above the hard one', '/HostConfig/Ulimits/0', setUlimit(0, 2, 1)],
    ['core dumps', '/HostConfig/Ulimits/1', setUlimit(1, 0, 1)],
    ['one limit twice', '/HostConfig/Ulimits', renameUlimit('core', 'nofile')],
    ['a runtime that is no sandbox', '/HostConfig/Runtime', setConfig({ Runtime: 'nvidia' })],
    ['larger logs', '/HostConfig/LogConfig/Config', setLogs('1025m', '3')],
    ['more logs', '/HostConfig/LogConfig/Config', setLogs('10m', '21')],
    ['unbounded logs', '/HostConfig/LogConfig/Config/max-size', setLogs('-1', '3')],
    ['a port below 1024', '/HostConfig/PortBindings/8888~1tcp/0/HostPort', bindPort('8888', '1000')],
    ['port 0000', '/HostConfig/PortBindings/8888~1tcp/0/HostPort', bindPort('8888', '0000')],
    ['a port above 65535', '/HostConfig/PortBindings/8888~1tcp/0/HostPort', bindPort('8888', '70000')],
    ['a port with a leading zero', '/HostConfig/PortBindings/8888~1tcp/0/HostPort', bindPort('8888', '08888')],
    ['a host port bound twice', '/HostConfig/PortBindings/9000~1tcp/0/HostPort', bindPort('9000', '18888')],
    ['a port that is not exposed', '/HostConfig/PortBindings/22~1tcp', bindPort('22', '2222')],
    ['an exposed port 0', '/ExposedPorts/0~1tcp', expose('0')],
    ['an exposed port above 65535', '/ExposedPorts/99999~1tcp', expose('99999')],
    ['an exposed port with a leading zero', '/ExposedPorts/080~1tcp', expose('080')],
    [
      'one folder at two places',
      '/HostConfig/Mounts/1/Source',
      setMount(1, { Source: `${home}/workloads/inst-1/workspace` }),
    ],
    ['writable secrets', '/HostConfig/Mounts/2/Target', setMount(2, { ReadOnly: false })],
    ['secrets at another place', '/HostConfig/Mounts/2/Target', setMount(2, { Target: '/workspace2' })],
    [
      'a workload folder in the place of secrets',
      '/HostConfig/Mounts/0/Target',
      setMount(0, { Target: '/run/secrets' }),
    ],
    ['a mount over the system', '/HostConfig/Mounts/0/Target', setMount(0, { Target: '/etc' })],
    ['a mount over the root', '/HostConfig/Mounts/0/Target', setMount(0, { Target: '/' })],
    ['a mount at a climbing path', '/HostConfig/Mounts/0/Target', setMount(0, { Target: '/workspace/../etc' })],
    ['a mount inside another', '/HostConfig/Mounts/1/Target', setMount(1, { Target: '/workspace/x' })],
    ...sources.map((source): [string, string, Change] => [
      `a mount from "${source}"`,
      '/HostConfig/Mounts/0/Source',
      setMount(0, { Source: source }),
    ]),
  ])('is refused: %s', (_what, path, change) => {
    const request = structuredClone(accepted.request);
    change(request, request.HostConfig);

    expect(pathsOf(request)).toContain(path);
  });

  it('is refused under any name but its own', () => {
    for (const name of [
      'gpuaas-inst-2',
      'gpuaas-',
      '',
      'inst-1',
      'GPUAAS-INST-1',
      'gpuaas-inst-1 ',
      '/gpuaas-inst-1',
    ]) {
      expect(pathsOf(accepted.request, { name })).toEqual(['']);
    }
  });

  it('is refused if its mounts come from anywhere but its own folders', () => {
    const segment = fc.constantFrom(
      ...['home', 'tenant', 'gpuaas', 'workloads', 'projects', 'inst-1', 'inst-2', 'project-1', 'workspace', 'x_1'],
      ...['..', '.', '', 'etc', '\u00e4', 'a\0b', ' '],
    );
    const anywhere = fc.array(segment, { maxLength: 8 }).map((segments) => `/${segments.join('/')}`);
    const nearby = segment.map((last) => `${home}/workloads/inst-1/${last}`);
    fc.assert(
      fc.property(fc.oneof(anywhere, nearby), (source) => {
        const request = structuredClone(accepted.request);
        request.HostConfig.Mounts.splice(1);
        setMount(0, { Source: source })(request, request.HostConfig);
        const own = /^\/home\/tenant\/gpuaas\/(workloads\/inst-1|projects\/project-1)\/[a-z0-9][a-z0-9_-]*$/.test(
          source,
        );
        return (check(request).length === 0) === own;
      }),
      { numRuns: 1000 },
    );
  });

  it('is refused if any value becomes one of another kind', () => {
    const leaves = leavesIn(accepted.request);
    const values: unknown[] = [
      null,
      true,
      -1,
      1.5,
      [],
      {},
      [[]],
      { a: 1 },
      Number.POSITIVE_INFINITY,
      'host',
      '/',
      '..',
    ];

    for (const [pointer, key] of leaves.filter(([pointer]) => !/^\/(Cmd|Entrypoint)$/.test(pointer))) {
      for (const value of values.filter((other) => other !== lookUp(accepted.request, pointer)[key])) {
        const errors = check(injected(pointer, key, value));
        // No danger: another name of project or task, and a folder that may not be written to.
        const harmless =
          (/^\/Labels$/.test(pointer) && value === 'host') ||
          (/^\/HostConfig\/Mounts\/[01]$/.test(pointer) && key === 'ReadOnly' && value === true);
        expect(errors.length > 0 || harmless, `${pointer}/${key}: ${JSON.stringify(value)}`).toBe(true);
      }
    }
  });
});

function setUlimit(index: number, soft: number, hard: number): Change {
  return (_request, { Ulimits }) => Object.assign(Ulimits[index] ?? {}, { Soft: soft, Hard: hard });
}

function renameUlimit(from: string, to: 'nofile'): Change {
  return (_request, { Ulimits }) => {
    for (const limit of Ulimits.filter(({ Name }) => Name === from)) {
      Object.assign(limit, { Name: to, Soft: 1, Hard: 1 });
    }
  };
}

function setLogs(size: string, files: string): Change {
  return (_request, { LogConfig }) => Object.assign(LogConfig.Config, { 'max-size': size, 'max-file': files });
}

function bindPort(containerPort: string, hostPort: string): Change {
  return (_request, { PortBindings }) => {
    PortBindings[`${containerPort}/tcp`] = [{ HostIp: '127.0.0.1', HostPort: hostPort }];
  };
}

function expose(port: string): Change {
  return ({ ExposedPorts }) => {
    ExposedPorts[`${port}/tcp`] = {};
  };
}
