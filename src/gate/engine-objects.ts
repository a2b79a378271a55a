/**
 * What the gate reads of the engine's own objects (Docker Engine API 1.41). The engine is trusted; everything may be
 * absent all the same, because other engines and other versions leave out what they do not have.
 */
export type Labels = Readonly<Record<string, string>>;

export interface HostConfigObject {
  readonly Mounts?: readonly MountObject[] | null;
  readonly PortBindings?: Readonly<Record<string, readonly { HostIp?: string; HostPort?: string }[] | null>> | null;
  readonly NetworkMode?: string;
  readonly Runtime?: string;
  readonly Devices?: readonly { readonly PathOnHost: string }[] | null;
  readonly DeviceRequests?: readonly DeviceRequestObject[] | null;
  readonly LogConfig?: { readonly Type?: string };
  readonly Memory?: number;
  readonly CpuPeriod?: number;
  readonly CpuQuota?: number;
  readonly [key: string]: unknown;
}

export interface DeviceRequestObject {
  readonly Driver?: string;
  readonly Count?: number;
  readonly DeviceIDs?: readonly string[] | null;
  readonly Capabilities?: readonly (readonly string[])[] | null;
  readonly Options?: Labels | null;
}

export interface MountObject {
  readonly Type?: string;
  readonly Source?: string;
  readonly Target?: string;
  readonly ReadOnly?: boolean;
  readonly BindOptions?: Readonly<Record<string, unknown>>;
  readonly [key: string]: unknown;
}

export interface ContainerObject {
  readonly Id: string;
  /** Id of the image that it is made of. */
  readonly Image?: string;
  /** With a leading slash. */
  readonly Name: string;
  readonly State: {
    readonly Status?: string;
    readonly Running?: boolean;
    readonly Pid?: number;
    readonly StartedAt?: string;
  };
  readonly Config: {
    readonly Image?: string;
    readonly User?: string;
    readonly Labels?: Labels | null;
    /** Paths that the image declares as volumes. */
    readonly Volumes?: Readonly<Record<string, unknown>> | null;
  };
  readonly HostConfig: HostConfigObject;
  /** By name; without an id where it was never started in it. */
  readonly NetworkSettings?: { readonly Networks?: Readonly<Record<string, { readonly NetworkID?: string }>> | null };
}

export interface NetworkObject {
  readonly Id: string;
  readonly Name: string;
  readonly Driver?: string;
  readonly Labels?: Labels | null;
  readonly Options?: Labels | null;
  readonly IPAM?: { readonly Config?: readonly { readonly Subnet?: string; readonly Gateway?: string }[] | null };
  readonly Internal?: boolean;
  readonly Attachable?: boolean;
  readonly EnableIPv6?: boolean;
}

export interface VolumeObject {
  readonly Name: string;
  readonly Driver?: string;
  readonly Options?: Labels | null;
  readonly Labels?: Labels | null;
}

export interface ImageObject {
  readonly Id: string;
  readonly RepoTags?: readonly string[] | null;
  readonly RepoDigests?: readonly string[] | null;
  readonly Size?: number;
  readonly RootFS?: { readonly Layers?: readonly string[] | null };
  readonly Config?: {
    readonly OnBuild?: readonly string[] | null;
    readonly Env?: readonly string[] | null;
    readonly User?: string | null;
    readonly Labels?: Labels | null;
    readonly Volumes?: Readonly<Record<string, unknown>> | null;
    readonly ExposedPorts?: Readonly<Record<string, unknown>> | null;
    readonly WorkingDir?: string | null;
    readonly Healthcheck?: { readonly Test?: readonly string[] | null } | null;
  } | null;
}
