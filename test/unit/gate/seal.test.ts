import { describe, expect, it } from 'vitest';
import type { ContainerObject, NetworkObject } from '../../../src/gate/engine-objects.ts';
import { Seals } from '../../../src/gate/seal.ts';

const seals = new Seals(Buffer.alloc(32, 7));
const name = 'gpuaas-a';
const request = {
  Image: `r.example/a@sha256:${'a'.repeat(64)}`,
  User: '1000:1000',
  HostConfig: {
    Mounts: [
      { Type: 'bind', Source: '/h/b', Target: '/b', ReadOnly: true, BindOptions: { Propagation: 'rprivate' } },
      { Type: 'bind', Source: '/h/a', Target: '/a', ReadOnly: false, BindOptions: { Propagation: 'rprivate' } },
    ],
    PortBindings: { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '8080' }] },
    NetworkMode: 'gpuaas-a',
    Memory: 1000,
    MemorySwap: 1000,
    NanoCpus: 5,
    PidsLimit: 10,
    CapDrop: ['ALL'],
    SecurityOpt: ['no-new-privileges'],
    Privileged: false,
    IpcMode: 'private',
    Runtime: 'runc',
  },
};
const labels = {
  'gpuaas.instance': 'a',
  'gpuaas.spec': 'f'.repeat(64),
  'gpuaas.fencing': '3',
  'gpuaas.restart': 'no:0',
  'gpuaas.readiness': '[]',
};

/** The request as an engine shows it afterwards: with its defaults, and every kind of "nothing". */
function inspected(over: { Name?: string; Config?: object; HostConfig?: object } = {}): ContainerObject {
  const sealed = seals.sealContainer(name, request, labels);
  return {
    Id: 'c'.repeat(64),
    Name: over.Name ?? `/${name}`,
    State: {},
    Config: { Image: request.Image, User: request.User, Labels: { ...sealed, 'image.label': 'x' }, ...over.Config },
    HostConfig: {
      ...request.HostConfig,
      Mounts: request.HostConfig.Mounts.map(({ ReadOnly, ...rest }) =>
        ReadOnly ? { ...rest, ReadOnly } : rest,
      ).reverse(),
      Binds: null,
      VolumesFrom: null,
      CapAdd: null,
      CapDrop: ['CAP_ALL'],
      Devices: [],
      DeviceRequests: null,
      PidMode: '',
      UTSMode: '',
      UsernsMode: '',
      ExtraHosts: [],
      PublishAllPorts: false,
      ...over.HostConfig,
    },
  };
}

describe('the seal of a container', () => {
  it('holds on what the engine shows of the same container', () => {
    expect(seals.holdsForContainer(inspected())).toBe(true);
  });

  it('holds on what is read-only as engines from 25 on show it, and on no more than that', () => {
    const shown = (ReadOnly: boolean) => {
      const [first, second] = request.HostConfig.Mounts;
      const options = { Propagation: 'rprivate', ReadOnlyNonRecursive: true };
      return inspected({ HostConfig: { Mounts: [{ ...first, ReadOnly, BindOptions: options }, second] } });
    };

    expect(seals.holdsForContainer(shown(true))).toBe(true);
    expect(seals.holdsForContainer(shown(false))).toBe(false);
  });

  it('holds on cards as an engine shows them, and on no others', () => {
    const request = (DeviceIDs: readonly string[]) => ({
      ...{ Driver: 'nvidia', DeviceIDs, Capabilities: [['gpu', 'compute', 'utility']] },
    });
    const asked = { HostConfig: { DeviceRequests: [request(['GPU-1a'])] } };
    const sealed = seals.sealContainer('gpuaas-a', asked, labels);
    const shown = (DeviceIDs: readonly string[], Count = 0): ContainerObject => ({
      ...{ Id: 'c'.repeat(64), Name: '/gpuaas-a', State: {}, Config: { Labels: sealed } },
      HostConfig: { DeviceRequests: [{ ...request(DeviceIDs), Count, Options: null }] },
    });

    expect(seals.holdsForContainer(shown(['GPU-1a']))).toBe(true);
    expect(seals.holdsForContainer(shown(['GPU-2b']))).toBe(false);
    expect(seals.holdsForContainer(shown(['GPU-1a'], -1))).toBe(false);
  });

  it('is another one each time', () => {
    expect(seals.sealContainer(name, request, labels)).not.toEqual(seals.sealContainer(name, request, labels));
  });

  it('does not hold under another key', () => {
    expect(new Seals(Buffer.alloc(32, 8)).holdsForContainer(inspected())).toBe(false);
  });

  it.each([
    ['another name', { Name: '/gpuaas-b' }],
    ['another image', { Config: { Image: 'x' } }],
    ['another user', { Config: { User: '0:0' } }],
    ['privileges', { HostConfig: { Privileged: true } }],
    ['a capability', { HostConfig: { CapAdd: ['SYS_ADMIN'] } }],
    ['no dropped capabilities', { HostConfig: { CapDrop: null } }],
    ['a bind', { HostConfig: { Binds: ['/:/host'] } }],
    ['another mount', { HostConfig: { Mounts: [{ Type: 'bind', Source: '/', Target: '/a' }] } }],
    ['volumes of another', { HostConfig: { VolumesFrom: ['x'] } }],
    ['another port', { HostConfig: { PortBindings: { '80/tcp': [{ HostIp: '0.0.0.0', HostPort: '8080' }] } } }],
    ['the network of the host', { HostConfig: { NetworkMode: 'host' } }],
    ['the processes of the host', { HostConfig: { PidMode: 'host' } }],
    ['shared memory of the host', { HostConfig: { IpcMode: 'host' } }],
    ['the users of the host', { HostConfig: { UsernsMode: 'host' } }],
    ['no security options', { HostConfig: { SecurityOpt: ['seccomp=unconfined'] } }],
    ['a device', { HostConfig: { Devices: [{ PathOnHost: '/dev/sda' }] } }],
    ['a GPU', { HostConfig: { DeviceRequests: [{ Driver: 'nvidia', DeviceIDs: ['GPU-a'] }] } }],
    ['another runtime', { HostConfig: { Runtime: 'other' } }],
    ['more memory', { HostConfig: { Memory: 2000 } }],
    ['more CPU', { HostConfig: { NanoCpus: 6 } }],
    ['a sysctl', { HostConfig: { Sysctls: { 'net.ipv4.ip_forward': '1' } } }],
    ['another control group', { HostConfig: { CgroupParent: '/x' } }],
  ])('breaks with %s', (_what, over) => {
    expect(seals.holdsForContainer(inspected(over))).toBe(false);
  });

  it.each([
    'gpuaas.spec',
    'gpuaas.fencing',
    'gpuaas.instance',
    'gpuaas.restart',
    'gpuaas.readiness',
    'gpuaas.generation',
  ])('covers the label %s', (label) => {
    const { Config, ...rest } = inspected();
    const changed = { ...Config, Labels: { ...Config.Labels, [label]: '9' } };

    expect(seals.holdsForContainer({ ...rest, Config: changed })).toBe(false);
  });

  it.each([undefined, null, {}, { 'gpuaas.seal': '' }, { 'gpuaas.seal': 'x'.repeat(43) }])(
    'is not there without its label: %j',
    (Labels) => {
      expect(seals.holdsForContainer(inspected({ Config: { Labels } }))).toBe(false);
    },
  );
});

describe('the seal of a network', () => {
  const network: Omit<NetworkObject, 'Id'> = {
    Name: 'gpuaas-a',
    Driver: 'bridge',
    Options: { o: '1' },
    IPAM: { Config: [{ Subnet: '10.0.0.0/28' }] },
    Internal: false,
    Labels: { 'gpuaas.instance': 'a' },
  };
  const made = { ...network, Id: 'n', Labels: seals.sealNetwork(network), Attachable: false, EnableIPv6: false };

  it('holds on what the engine shows of the same network', () => {
    expect(seals.holdsForNetwork({ ...made, IPAM: { Config: [{ Subnet: '10.0.0.0/28', Gateway: '10.0.0.1' }] } })).toBe(
      true,
    );
  });

  it.each([
    { Name: 'gpuaas-b' },
    { Driver: 'macvlan' },
    { IPAM: { Config: [{ Subnet: '10.0.0.16/28' }] } },
    { Options: {} },
    { Attachable: true },
    { EnableIPv6: true },
  ])('breaks with %j', (over) => {
    expect(seals.holdsForNetwork({ ...made, ...over })).toBe(false);
  });

  it('is not that of a container with the same labels', () => {
    expect(seals.holdsForContainer(inspected({ Config: { Labels: made.Labels } }))).toBe(false);
  });
});
