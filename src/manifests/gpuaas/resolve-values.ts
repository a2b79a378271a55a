/**
 * From what a person chose to the values a launch uses: defaults filled in, bounds applied, everything wrong at once.
 *
 * Form, CLI and server call this one function, so they cannot disagree. Of each value the first of these counts:
 *
 *   resource_overrides (cards, cores and memory only) ▶ config ▶ default of the parameter ▶ resources of the profile
 */
import { pointerToken } from '../../contract/pointer.ts';
import type { PathError } from '../../contract/validate.ts';
import { mountParameter, portParameter } from './check-parameters.ts';
import { judgeParameter, type ParameterValue } from './judge-parameter.ts';
import type { WorkloadProfile } from './profile.ts';
import type { RendererName } from './profile-execution.ts';
import { splitPackages } from './split-packages.ts';
import { judgeVllmValues } from './vllm-values.ts';

/** What a person chose; both parts as they came. */
export interface Choices {
  readonly config: Readonly<Record<string, unknown>>;
  readonly resource_overrides: Readonly<Record<string, unknown>>;
}

export interface LaunchValues {
  /** All declared parameters that have a value. */
  readonly parameters: Readonly<Record<string, ParameterValue>>;
  readonly resources: { readonly gpu_count: number; readonly cpu_cores: number; readonly memory_gib: number };
  /** By name of the mount; a mount without a mode is not wanted. */
  readonly mounts: Readonly<Record<string, string>>;
  readonly exposure_mode: string;
  /** By name of the endpoint. */
  readonly host_ports: Readonly<Record<string, number>>;
  readonly python_packages: readonly string[];
}

/**
 * What can be relied on although other values are wrong: what is wrong itself is left out. Whoever judges further judges
 * this, so that a person hears of everything at once.
 */
export interface SoundValues {
  readonly parameters: LaunchValues['parameters'];
  readonly resources: Partial<LaunchValues['resources']>;
  readonly mounts: LaunchValues['mounts'];
  readonly exposure_mode: string | undefined;
  readonly host_ports: LaunchValues['host_ports'];
}

export type ResolvedValues =
  | { readonly ok: true; readonly values: LaunchValues }
  /** Pointers into a launch request: `/config/host_port`, `/resource_overrides/gpu_count`. */
  | { readonly ok: false; readonly errors: readonly PathError[]; readonly sound: SoundValues };

export const resourceNames = ['gpu_count', 'cpu_cores', 'memory_gib'] as const;
export type ResourceName = (typeof resourceNames)[number];

/** Smallest amount that the profile accepts of a resource, whatever the parameter says. */
export function leastOf({ resources }: WorkloadProfile, name: ResourceName): number {
  switch (name) {
    case 'gpu_count':
      return resources?.gpu?.min_count ?? 0;
    case 'cpu_cores':
      return resources?.cpu?.min_cores ?? 0.1;
    case 'memory_gib':
      return resources?.memory?.min_gib ?? 0.0625;
  }
}

export function resolveValues(profile: WorkloadProfile, choices: Choices): ResolvedValues {
  const { properties, required = [] } = profile.parameters.schema;
  const errors: PathError[] = [];
  const parameters: Record<string, ParameterValue> = {};

  for (const name of Object.keys(choices.config)) {
    if (!Object.hasOwn(properties, name)) {
      errors.push({
        path: `/config/${pointerToken(name)}`,
        code: 'unknown_key',
        message: 'is not a parameter of this app',
      });
    }
  }
  for (const [name, property] of Object.entries(properties)) {
    const [value, path] = chosen(choices, name, property.default);
    if (value === undefined) {
      if (required.includes(name)) errors.push({ path, code: 'required', message: 'is missing' });
      continue;
    }
    const wrong = judgeParameter(property, value, path);
    if (wrong) errors.push(wrong);
    else parameters[name] = value as ParameterValue;
  }

  const resources = resolveResources(profile, choices, errors);
  const host_ports = resolvePorts(profile, parameters, errors);
  const mounts = resolveMounts(profile, parameters, errors);
  const exposure_mode = isWrong(errors, '/config/exposure_mode')
    ? undefined
    : String(parameters['exposure_mode'] ?? 'private');
  errors.push(...judgeBounds(parameters, resources), ...judgeStack(profile, parameters));
  const packages = splitPackages(String(parameters['python_packages'] ?? ''));
  errors.push(...packages.errors.map((error) => ({ path: '/config/python_packages', ...error })));
  const sound = { parameters, resources, mounts, exposure_mode, host_ports };
  return errors.length > 0
    ? { ok: false, errors, sound }
    : { ok: true, values: { ...sound, python_packages: packages.tokens } as LaunchValues };
}

function isWrong(errors: readonly PathError[], path: string): boolean {
  return errors.some((error) => error.path === path);
}

/** The value that counts and where it stands in the request. */
function chosen(
  { config, resource_overrides: overrides }: Choices,
  name: string,
  standard: ParameterValue | undefined,
): [value: unknown, path: string] {
  if (isResource(name) && overrides[name] !== undefined) return [overrides[name], `/resource_overrides/${name}`];
  const path = `/config/${name}`;
  return Object.hasOwn(config, name) && config[name] !== undefined ? [config[name], path] : [standard, path];
}

export function isResource(name: string): name is ResourceName {
  return (resourceNames as readonly string[]).includes(name);
}

function resolveResources(profile: WorkloadProfile, choices: Choices, errors: PathError[]): SoundValues['resources'] {
  const { properties } = profile.parameters.schema;
  const amounts: { [N in ResourceName]?: number } = {};
  for (const name of resourceNames) {
    const least = leastOf(profile, name);
    const standard = properties[name]?.default ?? usual(profile, name);
    const [value, path] = chosen(choices, name, standard);
    if (isWrong(errors, path)) continue;
    if (typeof value !== 'number' || !Number.isFinite(value) || (name === 'gpu_count' && !Number.isInteger(value))) {
      errors.push({ path, code: 'type', message: `must be a ${name === 'gpu_count' ? 'whole number' : 'number'}` });
    } else if (value < least) {
      errors.push({ path, code: 'below_minimum', message: `must be at least ${least}: this app needs that much` });
    } else {
      amounts[name] = value;
    }
  }
  return amounts;
}

/** Longest that a host waits for a workload to become ready. */
const maxStartSeconds = 7200;

/** Parameters that the platform knows and that are bounded by more than their schema. */
function judgeBounds(parameters: LaunchValues['parameters'], resources: SoundValues['resources']): PathError[] {
  const { gpu_count: cards = Number.POSITIVE_INFINITY, memory_gib: memory = Number.POSITIVE_INFINITY } = resources;
  const bounds: [name: string, least: number, most: number, because: string][] = [
    ['tensor_parallel_size', 1, Math.max(1, cards), 'so many cards it has'],
    ['shm_gib', 0.0625, memory, 'it is a part of the memory'],
    ['start_timeout_seconds', 1, maxStartSeconds, 'so long a host waits'],
  ];
  return bounds.flatMap(([name, least, most, because]) => {
    const value = parameters[name];
    return typeof value !== 'number' || (value >= least && value <= most)
      ? []
      : [{ path: `/config/${name}`, code: 'range', message: `must be from ${least} to ${most}: ${because}` }];
  });
}

/** What each renderer of a stack asks of values, so that what is accepted is rendered without a further question. */
const valueRules: { readonly [R in RendererName]: (parameters: LaunchValues['parameters']) => PathError[] } = {
  vllm_openai: judgeVllmValues,
  smoke_stack: () => [],
};

function judgeStack({ execution }: WorkloadProfile, parameters: LaunchValues['parameters']): PathError[] {
  const { default_engine: engine, compose } = execution;
  return engine === 'docker_compose' && compose ? valueRules[compose.renderer](parameters) : [];
}

function usual(profile: WorkloadProfile, name: ResourceName): number {
  const least = leastOf(profile, name);
  return name === 'gpu_count' ? (profile.resources?.gpu?.default_count ?? least) : Math.max(1, least);
}

function resolveMounts(
  { storage }: WorkloadProfile,
  parameters: Readonly<Record<string, ParameterValue>>,
  errors: readonly PathError[],
) {
  const wanted = (storage?.mounts ?? []).flatMap(({ name, modes, required }): [string, string][] => {
    const parameter = mountParameter(name);
    if (isWrong(errors, `/config/${parameter}`)) return [];
    const mode = parameters[parameter];
    if (mode !== undefined && mode !== '') return [[name, String(mode)]];
    return required ? [[name, String(modes[0])]] : [];
  });
  return Object.fromEntries(wanted);
}

/** An endpoint that no parameter speaks of has the same port on the host as in the container. */
function resolvePorts(
  { network }: WorkloadProfile,
  parameters: Readonly<Record<string, ParameterValue>>,
  errors: PathError[],
): Record<string, number> {
  const ports: Record<string, number> = {};
  const taken = new Map<number, string>();
  for (const [index, { name, port }] of (network?.endpoints ?? []).entries()) {
    const own = portParameter(name);
    const isOwn = index > 0 || parameters[own] !== undefined || isWrong(errors, `/config/${own}`);
    const parameter = isOwn ? own : 'host_port';
    if (isWrong(errors, `/config/${parameter}`)) continue;
    const value = Number(parameters[parameter] ?? port);
    const other = taken.get(value);
    if (value < 1024 || value > 65_535) {
      errors.push({ path: `/config/${parameter}`, code: 'minimum', message: 'must be from 1024 to 65535' });
    } else if (other !== undefined) {
      errors.push({ path: `/config/${parameter}`, code: 'repeated', message: `is already the port of ${other}` });
    } else {
      taken.set(value, name);
      ports[name] = value;
    }
  }
  return ports;
}
