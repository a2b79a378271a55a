/**
 * What a person should know before a launch that is allowed: what it costs, and what of it stays. Nothing here refuses
 * anything.
 */
import { mountParameter } from '../../manifests/gpuaas/check-parameters.ts';
import { resolveValues, type SoundValues } from '../../manifests/gpuaas/resolve-values.ts';
import { splitPackages } from '../../manifests/gpuaas/split-packages.ts';
import { resourcePath } from './check-resources.ts';
import { choicesOf, type LaunchFacts } from './checks.ts';
import { left, promised } from './resource-fit.ts';

/** Codes are contract, like those of failures. */
export const warningCodes = [
  'warning.packages',
  'warning.gpus_above_default',
  'warning.gpus_last',
  'warning.memory_near_host',
  'warning.storage_kept',
] as const;

export interface LaunchWarning {
  readonly code: (typeof warningCodes)[number];
  /** JSON pointer into the launch request. */
  readonly path: string;
  readonly message: string;
}

/** Beyond this part of the memory of a host, what else runs there has little left. */
const nearHost = 0.9;

/** In the order of the codes. Also of a launch that is refused, as far as its values are sound. */
export function warningsOf(facts: LaunchFacts): LaunchWarning[] {
  const { profile, request } = facts;
  if (!profile) return [];
  const resolved = resolveValues(profile, choicesOf(request));
  const values = resolved.ok ? resolved.values : resolved.sound;
  return [packages(values), ...cards(facts, values), memory(facts, values), ...storage(facts, values)].flatMap(
    (warning) => warning ?? [],
  );
}

function packages({ parameters }: SoundValues): LaunchWarning | undefined {
  const { tokens } = splitPackages(String(parameters['python_packages'] ?? ''));
  if (tokens.length === 0) return undefined;
  const what = tokens.length === 1 ? '1 package is' : `${tokens.length} packages are`;
  const message = `${what} installed from the package index at each launch, before the app is ready, and not kept.`;
  return { code: 'warning.packages', path: '/config/python_packages', message };
}

function cards({ request, profile, allocation, projectId, neighbours }: LaunchFacts, { resources }: SoundValues) {
  const { gpu_count: wanted = 0 } = resources;
  const path = resourcePath(request, 'gpu_count');
  const usual = profile?.resources?.gpu?.default_count ?? profile?.resources?.gpu?.min_count ?? 0;
  const own = allocation?.project_id === projectId ? allocation : undefined;
  const free = own && left(own.shape, neighbours).gpu_count;
  const warnings: LaunchWarning[] = [];
  if (wanted > usual) {
    const message = `${wanted} cards, where the app usually has ${usual}: they are held until it is decommissioned, stopped or not.`;
    warnings.push({ code: 'warning.gpus_above_default', path, message });
  }
  if (wanted > 0 && wanted === free) {
    warnings.push({ code: 'warning.gpus_last', path, message: 'It takes the last free cards of the allocation.' });
  }
  return warnings;
}

function memory({ request, capacity, neighbours }: LaunchFacts, { resources }: SoundValues): LaunchWarning | undefined {
  const { memory_gib: wanted = 0 } = resources;
  if (!capacity) return undefined;
  const sum = wanted + promised(neighbours).memory_gib;
  if (sum <= capacity.memory_gib * nearHost || sum > capacity.memory_gib) return undefined;
  const message = `With it, ${sum} of the ${capacity.memory_gib} GiB that the host has for workloads are promised.`;
  return { code: 'warning.memory_near_host', path: resourcePath(request, 'memory_gib'), message };
}

function storage({ profile }: LaunchFacts, { mounts }: SoundValues): LaunchWarning[] {
  return (profile?.storage?.mounts ?? []).flatMap(({ name, path: folder }) =>
    mounts[name] === 'project_storage'
      ? [
          {
            ...{ code: 'warning.storage_kept' as const, path: `/config/${mountParameter(name)}` },
            message: `What it keeps in ${folder} is of the project: it stays when the instance is decommissioned.`,
          },
        ]
      : [],
  );
}
