/** The hash that tells whether a launch asks for what already runs. */
import { createHash } from 'node:crypto';
import { labels } from '../contract/names.ts';
import type { WorkloadOciLaunchParams } from '../contract/workload-oci-launch.ts';
import type { ContainerRequest } from './container-request.ts';
import { nameOf } from './environment.ts';
import type { JobContainerRequest } from './job-request.ts';

/** Labels that say who made the container and when, not what it is. */
const historyLabels: readonly string[] = [labels.task, labels.fencing, labels.spec];

/**
 * sha256 (hex) over everything that decides the container: the params without the display name, and the request.
 *
 * The hash is stored where others may read it, so no opened secret goes into it: a short one could be guessed from it.
 * Sealed values count by their sealed text, which is the same whenever the same task is delivered.
 */
export function containerSpec(params: WorkloadOciLaunchParams, request: ContainerRequest): string {
  const { display_name: _shownOnly, ...identity } = params.identity;
  const sealed = params.sealed_env ?? {};
  const kept = {
    params: { ...params, identity },
    request: {
      ...request,
      Env: request.Env.filter((entry) => !Object.hasOwn(sealed, nameOf(entry))),
      Labels: Object.fromEntries(Object.entries(request.Labels).filter(([label]) => !historyLabels.includes(label))),
    },
  };
  return createHash('sha256').update(canonicalJson(kept)).digest('hex');
}

/** The same for a container of a job, whose request says all of it. */
export function jobContainerSpec(request: JobContainerRequest): string {
  const kept = Object.entries(request.Labels).filter(([label]) => !historyLabels.includes(label));
  const text = canonicalJson({ ...request, Labels: Object.fromEntries(kept) });
  return createHash('sha256').update(text).digest('hex');
}

/** JSON with sorted keys. Written key by key, so that no key (`__proto__`) can get lost on the way. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) {
    return `[${value.map(canonicalJson).join(',')}]`;
  }
  if (typeof value !== 'object' || value === null) {
    return JSON.stringify(value);
  }
  const entries = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`).join(',')}}`;
}
