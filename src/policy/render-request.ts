/**
 * Writes the create request of a launch that has passed every check: see `render-container.ts`.
 *
 * Nothing of a task gets into the request except through a field that is written out here; whatever is not written out
 * has the engine's default, or does not exist for a workload.
 */
import { AgentError } from '../contract/failures.ts';
import { labels, networkName } from '../contract/names.ts';
import type { Port, Sandbox, WorkloadOciLaunchParams } from '../contract/workload-oci-launch.ts';
import type { BindMount, ContainerRequest, ImageFacts } from './container-request.ts';
import { endpointsLabel } from './endpoints.ts';
import { neutralised, noUserSite } from './environment.ts';
import { cardRequest, cardsLabel, engineNames, type GivenCards } from './given-cards.ts';
import { type HostPolicy, secretsRoot } from './host-policy.ts';
import { mountSource, secretsTarget } from './mounts.ts';
import { readinessLabel } from './readiness-label.ts';
import { defaultShmGib } from './shared-memory.ts';

export interface RenderInput {
  readonly params: WorkloadOciLaunchParams;
  readonly policy: HostPolicy;
  /** What the engine holds now, after the pull. */
  readonly image: ImageFacts;
  /** Opened values of `sealed_env`, under the same names. */
  readonly sealedEnv: Readonly<Record<string, string>>;
  /** As many as the params ask for. */
  readonly cards: GivenCards;
  readonly taskId: string;
  readonly fencing: number;
  /** Of a stack; left out for a single container. */
  readonly service?: string;
}

/** The whole request but for the label with the hash of it. `reference` is the verified name of the image. */
export function renderRequest(input: RenderInput, reference: string): ContainerRequest {
  const { params, policy, image, cards } = input;
  const { command, entrypoint, readiness, ports } = params;
  const keepsHealthcheck = readiness.some(({ type }) => type === 'container_health');
  return {
    Image: reference,
    User: `${policy.allocation.uid}:${policy.allocation.gid}`,
    Env: [...renderEnv(input), ...neutralised(image.env, { engineNames: engineNames(cards) })],
    ...(command && { Cmd: [...command] }),
    ...(entrypoint && { Entrypoint: [...entrypoint] }),
    Labels: renderLabels(input),
    ExposedPorts: Object.fromEntries(ports.map((port) => [portKey(port), {}])),
    ...(!keepsHealthcheck && { Healthcheck: { Test: ['NONE'] } }),
    HostConfig: { ...renderHostConfig(input), ...cardRequest(cards) },
  };
}

/** Sorted, so that the order of a task's keys changes nothing. HOME is the profile's own business. */
function renderEnv({ params, sealedEnv }: RenderInput): string[] {
  return [...Object.entries(params.env), ...Object.entries(sealedEnv)]
    .filter(([name]) => name !== noUserSite.name)
    .concat([[noUserSite.name, noUserSite.value]])
    .map(([name, value]) => `${name}=${value}`)
    .sort();
}

function renderLabels({ params, cards, taskId, fencing, service }: RenderInput): Record<string, string> {
  const { identity, ports, restart, readiness } = params;
  return {
    [labels.instance]: identity.app_instance_id,
    [labels.project]: identity.project_id,
    [labels.allocation]: identity.allocation_id,
    [labels.task]: taskId,
    ...(cards.uuids.length > 0 && { [labels.gpus]: cardsLabel(cards) }),
    [labels.fencing]: String(fencing),
    [labels.endpoints]: endpointsLabel(ports),
    [labels.restart]: `${restart.policy}:${restart.max_retries}`,
    [labels.readiness]: readinessLabel(readiness),
    ...(service === undefined ? {} : { [labels.service]: service }),
  };
}

function renderHostConfig(input: RenderInput): ContainerRequest['HostConfig'] {
  const { params, policy } = input;
  return {
    ...renderBounds(params, policy),
    Mounts: renderMounts(input),
    NetworkMode: networkName(params.identity.app_instance_id),
    CapDrop: ['ALL'],
  };
}

/** What every container may take and reach, whatever it belongs to. */
export function renderBounds(
  { resources, ports, sandbox, log_limits: logLimits }: Bounded,
  { limits, sandboxes }: Pick<HostPolicy, 'limits' | 'sandboxes'>,
) {
  const memory = bytes(resources.memory_gib);
  return {
    PortBindings: Object.fromEntries(
      ports.map((port) => [portKey(port), [{ HostIp: '127.0.0.1' as const, HostPort: String(port.host_port) }]]),
    ),
    NanoCpus: Math.round(resources.cpu_cores * 1e9),
    Memory: memory,
    // The sum of memory and swap: equal means no swap.
    MemorySwap: memory,
    PidsLimit: limits.pids,
    ShmSize: bytes(resources.shm_gib ?? defaultShmGib),
    Ulimits: [
      { Name: 'nofile' as const, Soft: limits.open_files, Hard: limits.open_files },
      { Name: 'core' as const, Soft: 0, Hard: 0 },
    ],
    SecurityOpt: ['no-new-privileges' as const],
    Init: true as const,
    Privileged: false as const,
    IpcMode: 'private' as const,
    CgroupnsMode: 'private' as const,
    Runtime: runtimeOf(sandbox, sandboxes),
    RestartPolicy: { Name: 'no' as const },
    LogConfig: {
      Type: 'json-file' as const,
      Config: { 'max-size': `${logLimits.max_size_mib}m`, 'max-file': String(logLimits.max_files) },
    },
  };
}

type Bounded = Pick<WorkloadOciLaunchParams, 'resources' | 'ports' | 'sandbox' | 'log_limits'>;

function renderMounts({ params, policy, service }: RenderInput): BindMount[] {
  const { app_instance_id: instance } = params.identity;
  return bindMounts(params).map(({ target, mount }) => ({
    Type: 'bind',
    Source: mount ? mountSource(policy, params.identity, mount) : secretsRoot(policy, instance, service),
    Target: target,
    ReadOnly: mount?.read_only ?? true,
    BindOptions: { Propagation: 'rprivate' },
  }));
}

/** Where something is mounted in the container. */
export function bindTargets(params: WorkloadOciLaunchParams): string[] {
  return bindMounts(params).map(({ target }) => target);
}

/** All targets: the declared mounts, and the secret files where there are any. */
function bindMounts({ mounts, sealed_files = {} }: WorkloadOciLaunchParams) {
  const declared = mounts.map((mount) => ({ target: mount.path, mount }));
  return Object.keys(sealed_files).length > 0 ? [...declared, { target: secretsTarget, mount: undefined }] : declared;
}

function runtimeOf(sandbox: Sandbox, sandboxes: HostPolicy['sandboxes']): string {
  const runtime = sandboxes[sandbox];
  if (runtime === undefined) {
    throw new AgentError('sandbox.unavailable', { sandbox });
  }
  return runtime;
}

export function portKey({ container_port }: Port): string {
  return `${container_port}/tcp`;
}

function bytes(gib: number): number {
  return Math.round(gib * 2 ** 30);
}
