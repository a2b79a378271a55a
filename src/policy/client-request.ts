/**
 * Reads the create request of an engine client as the plain one that is judged.
 *
 * Our agent writes a request without a word too many. Docker Compose writes out every key of the engine's struct and names
 * the network by its id. What says nothing is left out here, and nothing else: whatever does say something stays as it is,
 * for `checkContainerRequest` to refuse with its path. What comes out is what the engine is sent.
 */
import { labels, networkName } from '../contract/names.ts';

export interface PlainRequest {
  /** Not judged yet. */
  readonly request: unknown;
  /** Id by which the client named its network, taken for that of the labelled instance: the engine has to be asked. */
  readonly networkId: string | undefined;
}

/** The same value where there is nothing to leave out. Never throws, whatever the body is. */
export function readClientRequest(body: unknown): PlainRequest {
  if (!isObject(body)) {
    return { request: body, networkId: undefined };
  }
  const { HostConfig: host, NetworkingConfig: networking, Labels: given } = body;
  const mode = isObject(host) ? host['NetworkMode'] : undefined;
  const networkId = typeof mode === 'string' && idPattern.test(mode) ? mode : undefined;
  const instance = isObject(given) ? given[labels.instance] : undefined;
  const network = { id: networkId, name: networkName(typeof instance === 'string' ? instance : '') };
  return {
    networkId,
    request: {
      ...absent.request,
      ...without(body, saysNothing.request),
      ...(isObject(host) && { HostConfig: plainHostConfig(host, network) }),
      ...(isObject(networking) &&
        !isNoEndpoint(networking) && { NetworkingConfig: plainNetworking(networking, network) }),
    },
  };
}

type Fields = Readonly<Record<string, unknown>>;
type Network = { readonly id: string | undefined; readonly name: string };
type Says = (value: unknown) => boolean;

const idPattern = /^[0-9a-f]{64}$/;
const isNull: Says = (value) => value === null;
const isOff: Says = (value) => value === false;
const isBoolean: Says = (value) => typeof value === 'boolean';
const isZero: Says = (value) => value === 0;
const isNoText: Says = (value) => value === '';
const isNone: Says = (value) => value === null || (typeof value === 'object' && Object.keys(value).length === 0);
const isNoEndpoint: Says = (value) =>
  isNone(value) ||
  (isObject(value) &&
    Object.keys(value).length === 1 &&
    value['EndpointsConfig'] !== undefined &&
    isNone(value['EndpointsConfig']));

/** What a request may leave out because it means the same then. */
const absent = {
  request: { Env: [], Labels: {}, ExposedPorts: {} },
  host: { Mounts: [], PortBindings: {} },
  mount: { ReadOnly: false },
  endpoint: { Aliases: [] },
} as const;

/** Keys of the engine's structs, each with the values under which it asks for nothing. */
const saysNothing = {
  request: {
    ...{ Hostname: isNoText, Domainname: isNoText, WorkingDir: isNoText, MacAddress: isNoText, StopSignal: isNoText },
    ...{ AttachStdin: isOff, Tty: isOff, OpenStdin: isOff, StdinOnce: isOff, NetworkDisabled: isOff },
    // Which streams a client would read: the engine keeps the output either way.
    ...{ AttachStdout: isBoolean, AttachStderr: isBoolean },
    ...{ Env: isNull, Cmd: isNull, Entrypoint: isNull, Labels: isNull, ExposedPorts: isNull, Healthcheck: isNull },
    ...{ Volumes: isNone, OnBuild: isNone, Shell: isNone, NetworkingConfig: isNoEndpoint },
  },
  host: {
    ...{ ContainerIDFile: isNoText, VolumeDriver: isNoText, Cgroup: isNoText, CgroupParent: isNoText },
    ...{ PidMode: isNoText, UTSMode: isNoText, UsernsMode: isNoText, Isolation: isNoText },
    ...{ CpusetCpus: isNoText, CpusetMems: isNoText },
    ...{ AutoRemove: isOff, PublishAllPorts: isOff, ReadonlyRootfs: isOff },
    OomKillDisable: (value: unknown) => value === false || value === null,
    ...{
      CpuShares: isZero,
      CpuPeriod: isZero,
      CpuQuota: isZero,
      CpuRealtimePeriod: isZero,
      CpuRealtimeRuntime: isZero,
    },
    ...{ CpuCount: isZero, CpuPercent: isZero, IOMaximumIOps: isZero, IOMaximumBandwidth: isZero, BlkioWeight: isZero },
    ...{ OomScoreAdj: isZero, MemoryReservation: isZero, KernelMemory: isZero, KernelMemoryTCP: isZero },
    ...{ Binds: isNone, VolumesFrom: isNone, CapAdd: isNone, Dns: isNone, DnsOptions: isNone, DnsSearch: isNone },
    ...{ ExtraHosts: isNone, GroupAdd: isNone, Links: isNone, StorageOpt: isNone, Tmpfs: isNone, Sysctls: isNone },
    ...{ Devices: isNone, DeviceCgroupRules: isNone, DeviceRequests: isNone, Annotations: isNone },
    ...{ BlkioWeightDevice: isNone, BlkioDeviceReadBps: isNone, BlkioDeviceWriteBps: isNone },
    ...{ BlkioDeviceReadIOps: isNone, BlkioDeviceWriteIOps: isNone },
    // An empty list of these would show the container what the engine hides from it.
    ...{ MaskedPaths: isNull, ReadonlyPaths: isNull },
    ...{ MemorySwappiness: isNull, PidsLimit: isNull, Ulimits: isNull, Mounts: isNull, PortBindings: isNull },
    ConsoleSize: (value: unknown) => Array.isArray(value) && value.length === 2 && value.every(isZero),
  },
  restart: { MaximumRetryCount: isZero },
  deviceRequest: { Count: isZero, Options: isNone },
  endpoint: {
    ...{ MacAddress: isNoText, NetworkID: isNoText, EndpointID: isNoText, Gateway: isNoText, IPAddress: isNoText },
    ...{ IPv6Gateway: isNoText, GlobalIPv6Address: isNoText },
    ...{ IPPrefixLen: isZero, GlobalIPv6PrefixLen: isZero, GwPriority: isZero },
    ...{ IPAMConfig: isNone, Links: isNone, DriverOpts: isNone, DNSNames: isNone, Aliases: isNull },
  },
} satisfies Record<string, Readonly<Record<string, Says>>>;

function plainHostConfig(host: Fields, { id, name }: Network): Fields {
  const { Mounts: mounts, RestartPolicy: restart, NetworkMode: mode, DeviceRequests: cards } = host;
  return {
    ...absent.host,
    ...without(host, saysNothing.host),
    ...(id !== undefined && mode === id && { NetworkMode: name }),
    ...(Array.isArray(cards) &&
      cards.length > 0 && {
        DeviceRequests: cards.map((each) => (isObject(each) ? without(each, saysNothing.deviceRequest) : each)),
      }),
    ...(isObject(restart) && { RestartPolicy: without(restart, saysNothing.restart) }),
    ...(Array.isArray(mounts) && {
      Mounts: mounts.map((mount) => (isObject(mount) ? { ...absent.mount, ...mount } : mount)),
    }),
  };
}

/** An endpoint under the id is one under the name, unless there is one already: then there are two, which is refused. */
function plainNetworking(networking: Fields, { id, name }: Network): Fields {
  const { EndpointsConfig: endpoints } = networking;
  if (!isObject(endpoints)) {
    return networking;
  }
  const known = Object.hasOwn(endpoints, name) ? undefined : id;
  const plain = Object.entries(endpoints).map(([key, endpoint]) => [
    key === known ? name : key,
    isObject(endpoint) ? { ...absent.endpoint, ...without(endpoint, saysNothing.endpoint) } : endpoint,
  ]);
  return { ...networking, EndpointsConfig: Object.fromEntries(plain) };
}

function without(fields: Fields, nothing: Readonly<Record<string, Says>>): Fields {
  return Object.fromEntries(
    Object.entries(fields).filter(([key, value]) => !(Object.hasOwn(nothing, key) && nothing[key]?.(value))),
  );
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
