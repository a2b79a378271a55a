import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { accepted, check, injected, lookUp, names, objectsIn, pathsOf, token } from './accepted-request.ts';

/** Keys of the engine's create request that give a container more than a workload may have, with a value that does. */
const dangerous: Record<string, unknown[]> = {
  Privileged: [true, 'true', 1],
  CapAdd: [['SYS_ADMIN'], ['ALL'], []],
  CapDrop: [[], ['NET_RAW'], ['ALL', 'ALL']],
  Capabilities: [['CAP_SYS_ADMIN']],
  Devices: [[{ PathOnHost: '/dev/sda', PathInContainer: '/dev/sda', CgroupPermissions: 'rwm' }], []],
  DeviceRequests: [[{ Driver: 'nvidia', Count: -1, Capabilities: [['gpu']] }], []],
  DeviceCgroupRules: [['a *:* rwm']],
  BlkioDeviceReadBps: [[]],
  BlkioWeight: [1000],
  Binds: [['/:/host'], ['/var/run/docker.sock:/var/run/docker.sock'], []],
  VolumesFrom: [['other'], []],
  VolumeDriver: ['local'],
  Volumes: [{ '/data': {} }],
  PidMode: ['host', 'container:x', ''],
  UsernsMode: ['host'],
  UTSMode: ['host'],
  NetworkMode: ['host', 'none', 'bridge', 'default', 'container:x', 'gpuaas-other', 'gpuaas-', 'GPUAAS-inst-1', ''],
  IpcMode: ['host', 'shareable', 'container:x', 'none', ''],
  CgroupnsMode: ['host', ''],
  Sysctls: [{ 'net.ipv4.ip_forward': '1' }, {}],
  SecurityOpt: [
    ['seccomp=unconfined'],
    ['apparmor=unconfined'],
    ['no-new-privileges', 'label=disable'],
    [],
    ['no-new-privileges=false'],
  ],
  CgroupParent: ['/', 'system.slice'],
  Cgroup: ['container:x'],
  Runtime: ['nvidia', 'kata', '', '/usr/bin/evil', 'io.containerd.evil.v1'],
  Tmpfs: [{ '/run': 'exec,suid' }],
  ExtraHosts: [['metadata:169.254.169.254']],
  Dns: [['10.0.0.1']],
  DnsOptions: [['ndots:1']],
  DnsSearch: [['evil']],
  Links: [['other:alias']],
  PublishAllPorts: [true, false],
  StorageOpt: [{ size: '1T' }],
  OomKillDisable: [true],
  OomScoreAdj: [-1000],
  MaskedPaths: [[]],
  ReadonlyPaths: [[]],
  ReadonlyRootfs: [true],
  MacAddress: ['02:42:ac:11:00:02'],
  NetworkingConfig: [{ EndpointsConfig: { host: {} } }],
  EndpointsConfig: [{ host: {} }],
  Domainname: ['evil'],
  Hostname: ['evil'],
  AttachStdin: [true],
  OpenStdin: [true],
  Tty: [true],
  StdinOnce: [true],
  OnBuild: [['RUN x']],
  Shell: [['/bin/sh']],
  StopSignal: ['SIGKILL', ''],
  StopTimeout: [100000],
  WorkingDir: ['/'],
  NetworkDisabled: [false],
  ArgsEscaped: [true],
  ContainerIDFile: ['/etc/passwd'],
  AutoRemove: [true],
  Isolation: ['process'],
  CpuShares: [1],
  CpuQuota: [-1],
  CpusetCpus: ['0'],
  CpuRealtimeRuntime: [1],
  MemoryReservation: [1],
  MemorySwappiness: [100],
  KernelMemory: [1],
  Init: [false],
  Annotations: [{ 'run.oci.handler': 'x' }],
  ConsoleSize: [[1, 1]],
  LogConfig: [{ Type: 'syslog', Config: { 'syslog-address': 'tcp://evil' } }, { Type: 'none' }],
  RestartPolicy: [{ Name: 'always' }, { Name: 'no', MaximumRetryCount: 1 }],
  GroupAdd: [['0'], ['docker'], ['0', '999'], []],
  User: ['0:0', 'root', '', '1001', '1001:0', '1001:1002 '],
  Healthcheck: [{ Test: ['CMD', 'evil'] }, { Test: [] }, { Test: ['NONE'], Interval: 1 }],
  ImageManifestDescriptor: [{}],
  Platform: ['linux/amd64'],
  Type: ['volume', 'tmpfs', 'npipe'],
  VolumeOptions: [{ DriverConfig: { Name: 'local', Options: { type: 'none', device: '/', o: 'bind' } } }],
  TmpfsOptions: [{ Mode: 4095 }],
  Consistency: ['cached'],
  Propagation: ['rshared', 'shared', 'rslave'],
  NonRecursive: [true],
  CreateMountpoint: [true],
  ReadOnlyForceRecursive: [false],
  HostIp: ['0.0.0.0', '', '::', '127.0.0.2', '::1', 'localhost'],
  HostPort: ['80', '1023', '', '0', '99999', '65536', '01024', '8000-9000', 1024],
  'syslog-address': ['tcp://evil'],
  'gpuaas.seal': ['forged'],
  'gpuaas.generation': ['forged'],
  'com.docker.compose.project': ['x'],
  constructor: [{}],
  prototype: [{}],
  __proto__x: [{}],
  '': [{}],
};

const places = objectsIn(accepted.request);

describe('a key that was put into an accepted request', () => {
  it.each(places)('is refused with its path: every dangerous option of the engine at "%s" (G-216)', (place) => {
    for (const [key, values] of Object.entries(dangerous)) {
      for (const value of values) {
        const paths = pathsOf(injected(place, key, value));
        expect(names(paths, `${place}/${token(key)}`), `${key}: ${JSON.stringify(value)} -> ${paths}`).toBe(true);
      }
    }
  });

  it('is refused in every other spelling: engines read keys without regard to case', () => {
    const known = places.flatMap((place) =>
      Object.keys(lookUp(accepted.request, place)).flatMap((key) =>
        [key.toLowerCase(), key.toUpperCase(), ` ${key}`, `${key}\0`]
          .filter((other) => other !== key)
          .map((other) => [place, other]),
      ),
    );
    const all = [
      ...known,
      ...places.flatMap((place) => Object.keys(dangerous).map((key) => [place, key.toLowerCase()])),
    ];

    for (const [place = '', key = ''] of all) {
      if (!Object.hasOwn(lookUp(accepted.request, place), key)) {
        expect(pathsOf(injected(place, key, true)), `${place} ${key}`).toContain(
          `${place}/${token(key.replace('\0', '\uFFFD'))}`,
        );
      }
    }
  });

  it('is refused if it would change the object it is parsed into', () => {
    for (const place of places) {
      const value = { Privileged: true, Binds: ['/:/host'] };
      const wire = JSON.stringify(injected(place, '__proto__', value));

      expect(wire).toContain('__proto__');
      expect(pathsOf(JSON.parse(wire))).toContain(`${place}/__proto__`);
    }
  });

  it('is refused if it is any other word, with any value', () => {
    fc.assert(
      fc.property(fc.constantFrom(...places), fc.string(), fc.jsonValue({ maxDepth: 2 }), (place, key, value) => {
        fc.pre(!/^\d{1,5}\/tcp$|^(Cmd|Entrypoint)$/.test(key) && !Object.hasOwn(lookUp(accepted.request, place), key));
        return names(pathsOf(injected(place, key, value)), `${place}/${token(key)}`);
      }),
      { numRuns: 500 },
    );
  });

  it('is the only thing of its kind: no key of the request may be left out, but for the optional ones', () => {
    const optional = ['/Cmd', '/Entrypoint', '/Healthcheck', '/Labels/gpuaas.endpoints'];
    const removable = places.flatMap((place) =>
      Object.keys(lookUp(accepted.request, place))
        .filter((key) => {
          const request = structuredClone(accepted.request);
          delete lookUp(request, place)[key];
          return check(request).length === 0;
        })
        .map((key) => `${place}/${token(key)}`),
    );

    expect(removable).toEqual(optional);
  });
});
