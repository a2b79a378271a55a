/** The engine's own objects (Docker Engine API 1.41), as far as they are read, and what becomes of them. */
import type { ContainerFacts, ContainerSummary } from '../engine.ts';

interface Limits {
  readonly NanoCpus?: number;
  readonly Memory?: number;
}

export interface ContainerObject {
  readonly Id: string;
  /** With a leading slash. */
  readonly Name: string;
  readonly Image: string;
  readonly RestartCount?: number;
  readonly ExecIDs?: readonly string[] | null;
  readonly State: {
    readonly Status: string;
    readonly Pid?: number;
    readonly ExitCode?: number;
    readonly OOMKilled?: boolean;
    readonly Error?: string;
    readonly StartedAt?: string;
    readonly FinishedAt?: string;
    readonly Health?: { readonly Status?: string } | null;
  };
  readonly Config: { readonly Image?: string; readonly Labels?: Readonly<Record<string, string>> | null };
  readonly HostConfig: Limits & {
    readonly PortBindings?: Readonly<Record<string, readonly { readonly HostPort?: string }[] | null>> | null;
  };
}

/** An entry of the list. Engines give no limits; the gate, which inspects each anyway, does. */
export interface SummaryObject {
  readonly Id: string;
  readonly Names?: readonly string[] | null;
  readonly Labels?: Readonly<Record<string, string>> | null;
  readonly State: string;
  readonly HostConfig?: Limits;
}

export function readContainer(object: ContainerObject): ContainerFacts {
  const { State: state, Config: config, HostConfig: host } = object;
  const bindings = Object.values(host.PortBindings ?? {}).flatMap((list) => list ?? []);
  return {
    id: object.Id,
    name: plainName(object.Name),
    imageId: object.Image,
    imageReference: config.Image ?? '',
    labels: config.Labels ?? {},
    status: state.Status,
    pid: state.Pid ?? 0,
    exitCode: hasEnded(state.Status) ? (state.ExitCode ?? null) : null,
    oomKilled: state.OOMKilled === true,
    error: state.Error ?? '',
    health: healthOf(state.Health?.Status),
    startedAt: timeOf(state.StartedAt),
    finishedAt: timeOf(state.FinishedAt),
    restartCount: object.RestartCount ?? 0,
    execIds: object.ExecIDs ?? [],
    cpuCores: (host.NanoCpus ?? 0) / 1e9,
    memoryBytes: host.Memory ?? 0,
    hostPorts: bindings.map(({ HostPort }) => Number(HostPort)).filter((port) => port > 0),
  };
}

/** Undefined where the entry does not say what the container is promised. */
export function readSummary(object: SummaryObject): ContainerSummary | undefined {
  const { NanoCpus: nanoCpus, Memory: memoryBytes } = object.HostConfig ?? {};
  if (nanoCpus === undefined || memoryBytes === undefined) {
    return undefined;
  }
  const name = plainName(object.Names?.[0] ?? '');
  return {
    id: object.Id,
    name,
    labels: object.Labels ?? {},
    status: object.State,
    cpuCores: nanoCpus / 1e9,
    memoryBytes,
  };
}

function hasEnded(status: string): boolean {
  return status === 'exited' || status === 'dead' || status === 'removing';
}

function plainName(name: string): string {
  return name.replace(/^\//, '');
}

/** The engine says `none` for an image that switched its check off. */
function healthOf(status: string | undefined): string | null {
  return status === undefined || status === 'none' || status === '' ? null : status;
}

/** The engine writes year 1 for a moment that has not come. */
function timeOf(time: string | undefined): string | null {
  return time === undefined || time === '' || time.startsWith('0001-') ? null : time;
}
