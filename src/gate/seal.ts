/**
 * The seal: proof that this gate made exactly this container or network, and that nobody changed it since.
 *
 * An HMAC over name, labels and every property that decides what the thing may do. It is computed twice by the same
 * code, from the request before it is sent and from the engine's inspect ever after, so a seal that somebody copies
 * onto another container fails there. Labels prove nothing else: an image or a person can set any of them.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { labels as labelNames } from '../contract/names.ts';
import type {
  ContainerObject,
  DeviceRequestObject,
  HostConfigObject,
  Labels,
  MountObject,
  NetworkObject,
  VolumeObject,
} from './engine-objects.ts';

const sealedLabels: readonly string[] = Object.values(labelNames).filter((name) => name !== labelNames.seal);

/** What of a container request the seal covers; the same names are in the engine's inspect. */
export interface SealableContainer {
  readonly Image?: string;
  readonly User?: string;
  readonly HostConfig: HostConfigObject;
}

export class Seals {
  readonly #key: Buffer;

  /** `key` has 32 bytes and never leaves the gate. */
  constructor(key: Buffer) {
    this.#key = key;
  }

  /** The request's labels, with a new generation and the seal of all of it. */
  sealContainer(name: string, request: SealableContainer, labels: Labels): Labels {
    const generated = { ...labels, [labelNames.generation]: randomBytes(16).toString('hex') };
    return { ...generated, [labelNames.seal]: this.#mac(containerFacts(name, request, generated)) };
  }

  holdsForContainer({ Name, Config, HostConfig }: ContainerObject): boolean {
    const labels = Config.Labels ?? {};
    const { Image = '', User = '' } = Config;
    return this.#matches(containerFacts(Name.replace(/^\//, ''), { Image, User, HostConfig }, labels), labels);
  }

  sealNetwork(network: Omit<NetworkObject, 'Id'>): Labels {
    const generated = { ...network.Labels, [labelNames.generation]: randomBytes(16).toString('hex') };
    return { ...generated, [labelNames.seal]: this.#mac(networkFacts({ ...network, Labels: generated })) };
  }

  holdsForNetwork(network: NetworkObject): boolean {
    return this.#matches(networkFacts(network), network.Labels ?? {});
  }

  sealVolume(name: string, labels: Labels): Labels {
    const generated = { ...labels, [labelNames.generation]: randomBytes(16).toString('hex') };
    return {
      ...generated,
      [labelNames.seal]: this.#mac(volumeFacts({ Name: name, Driver: 'local', Labels: generated })),
    };
  }

  holdsForVolume(volume: VolumeObject): boolean {
    return this.#matches(volumeFacts(volume), volume.Labels ?? {});
  }

  #matches(facts: unknown, labels: Labels): boolean {
    const given = Buffer.from(labels[labelNames.seal] ?? '');
    const right = Buffer.from(this.#mac(facts));
    return given.length === right.length && timingSafeEqual(given, right);
  }

  #mac(facts: unknown): string {
    return createHmac('sha256', this.#key).update('gpuaas seal 1\n').update(canonicalJson(facts)).digest('base64url');
  }
}

/**
 * Engines fill in what a request leaves out, and differ in how they write "nothing": null, an empty list, false, an
 * empty text. Each property is therefore brought to one form before it is sealed.
 */
function containerFacts(name: string, { Image, User, HostConfig: host }: SealableContainer, labels: Labels): unknown {
  return {
    kind: 'container',
    name,
    image: text(Image),
    user: text(User),
    labels: pickSealed(labels),
    mounts: (host.Mounts ?? []).map(mountFacts).sort(byText),
    binds: list(host['Binds']),
    volumes_from: list(host['VolumesFrom']),
    ports: Object.entries(host.PortBindings ?? {})
      .map(portFacts)
      .sort(byText),
    publish_all: flag(host['PublishAllPorts']),
    network: text(host.NetworkMode),
    extra_hosts: list(host['ExtraHosts']),
    links: list(host['Links']),
    privileged: flag(host['Privileged']),
    cap_add: list(host['CapAdd']).map(capability),
    cap_drop: list(host['CapDrop']).map(capability),
    security: list(host['SecurityOpt']),
    groups: list(host['GroupAdd']),
    pid_mode: text(host['PidMode']),
    ipc_mode: text(host['IpcMode']),
    uts_mode: text(host['UTSMode']),
    userns_mode: text(host['UsernsMode']),
    cgroupns_mode: text(host['CgroupnsMode']),
    cgroup_parent: text(host['CgroupParent']),
    runtime: text(host.Runtime),
    memory: amount(host['Memory']),
    memory_swap: amount(host['MemorySwap']),
    nano_cpus: amount(host['NanoCpus']),
    pids: amount(host['PidsLimit']),
    shm: amount(host['ShmSize']),
    devices: list(host['Devices']).map(canonicalJson),
    device_rules: list(host['DeviceCgroupRules']),
    device_requests: (host.DeviceRequests ?? []).map(deviceRequestFacts),
    sysctls: host['Sysctls'] ?? {},
    // Absent where there are none: seals of before it was covered hold.
    dns: list(host['Dns']).length > 0 ? list(host['Dns']) : undefined,
  };
}

function networkFacts({ Name, Driver, Labels, Options, IPAM, ...flags }: Omit<NetworkObject, 'Id'>): unknown {
  return {
    kind: 'network',
    name: Name,
    driver: text(Driver),
    subnets: (IPAM?.Config ?? []).map(({ Subnet }) => text(Subnet)),
    options: Options ?? {},
    internal: flag(flags.Internal),
    attachable: flag(flags.Attachable),
    ipv6: flag(flags.EnableIPv6),
    labels: pickSealed(Labels ?? {}),
  };
}

/** With options a volume of the `local` driver can be any folder of the host: ours have none. */
function volumeFacts({ Name, Driver, Options, Labels }: VolumeObject): unknown {
  return { kind: 'volume', name: Name, driver: text(Driver), options: Options ?? {}, labels: pickSealed(Labels ?? {}) };
}

/**
 * Engines from 25 on fill in `ReadOnlyNonRecursive` for who speaks an API before 1.44: that what is mounted below a read-only
 * folder stays as it is, which is how those before 25 always do it.
 */
function mountFacts({ Type, Source, Target, ReadOnly, BindOptions, ...rest }: MountObject): string {
  const { ReadOnlyNonRecursive: _filledIn, ...options } = BindOptions ?? {};
  const others = BindOptions === undefined ? rest : { ...rest, BindOptions: options };
  return canonicalJson([text(Type), text(Source), text(Target), flag(ReadOnly), others]);
}

function deviceRequestFacts({ Driver, Count, DeviceIDs, Capabilities, Options }: DeviceRequestObject): string {
  return canonicalJson([text(Driver), amount(Count), list(DeviceIDs), list(Capabilities), Options ?? {}]);
}

function portFacts([port, bindings]: [string, readonly { HostIp?: string; HostPort?: string }[] | null]): string {
  const hosts = (bindings ?? []).map(({ HostIp, HostPort }) => `${text(HostIp)}:${text(HostPort)}`).sort();
  return canonicalJson([port, hosts]);
}

/** Only the names that we set: an image may bring others with our prefix, and they must not matter. */
function pickSealed(labels: Labels): Labels {
  return Object.fromEntries(Object.entries(labels).filter(([name]) => sealedLabels.includes(name)));
}

function capability(name: unknown): string {
  return text(name).toUpperCase().replace(/^CAP_/, '');
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function flag(value: unknown): boolean {
  return value === true;
}

function amount(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function byText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** JSON with sorted keys and without undefined values: one text for one value. */
function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value ?? null);
  const entries = Object.entries(value)
    .filter(([, inner]) => inner !== undefined)
    .sort(([a], [b]) => byText(a, b));
  return `{${entries.map(([key, inner]) => `${JSON.stringify(key)}:${canonicalJson(inner)}`).join(',')}}`;
}
