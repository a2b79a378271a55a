/**
 * Caches: engine volumes that outlive their job, for the next one of the same revision of the same project.
 *
 * The name of such a volume is made of all that it belongs to. A container says in its labels which revision it is of and which
 * caches it has, and the name of each can be made of these again: so none can have the cache of another project or revision
 * without being labelled as one of those.
 */
import { createHash } from 'node:crypto';
import { identifierPattern } from '../contract/identifiers.ts';
import type { JobCache } from '../contract/job-plan.ts';
import { labels } from '../contract/names.ts';

/** Value of the label `kind` on a cache. */
export const cacheKind = 'cache';

export type MountedCache = Pick<JobCache, 'name' | 'class' | 'seed_from_image' | 'max_bytes'>;

export interface CacheOwner {
  readonly allocation: string;
  readonly project: string;
  readonly revision: string;
}

const identifier = identifierPattern.slice(1, -1);
/** No volume of a job has such a name: those have one dot. */
export const cacheVolumePattern = `gpuaas-cache\\.[0-9a-f]{24}\\.${identifier}`;
const mounted = new RegExp(`^(${identifier}):(pip|cargo|model|data)(:seed)?(?::(\\d{1,16}))?$`);
const revisionPattern = /^[0-9a-f]{64}$/;

export function cacheVolume({ allocation, project, revision }: CacheOwner, name: string): string {
  const owner = createHash('sha256')
    .update(JSON.stringify([allocation, project, revision, name]))
    .digest('hex');
  return `gpuaas-cache.${owner.slice(0, 24)}.${name}`;
}

/** `name:class`, with `:seed` behind it where it begins with what the image has, and the bytes it may hold; comma-separated. */
export function cachesLabel(caches: readonly MountedCache[]): string {
  return caches
    .map(({ name, class: kind, seed_from_image: seed, max_bytes: most }) =>
      [name, kind, ...(seed ? ['seed'] : []), ...(most === undefined ? [] : [most])].join(':'),
    )
    .join(',');
}

/** Undefined for what is no such label. Empty where there is none. */
export function readCaches(label: string | undefined): MountedCache[] | undefined {
  const found = (label ?? '')
    .split(',')
    .filter((text) => text !== '')
    .map((text): MountedCache | undefined => {
      const [, name, kind, seed, most] = mounted.exec(text) ?? [];
      if (name === undefined) return undefined;
      const max = most === undefined ? {} : { max_bytes: Number(most) };
      return { name, class: kind as JobCache['class'], seed_from_image: seed !== undefined, ...max };
    });
  const caches = found.filter((cache) => cache !== undefined);
  const isFine = caches.length === found.length && new Set(caches.map(({ name }) => name)).size === caches.length;
  return isFine ? caches : undefined;
}

/** The caches of what is labelled so, with the volume of each; undefined where its labels contradict each other. */
export function cachesOf(
  of: Readonly<Record<string, string>>,
): readonly (MountedCache & { readonly volume: string })[] | undefined {
  const owner = {
    allocation: of[labels.allocation] ?? '',
    project: of[labels.project] ?? '',
    revision: of[labels.revision] ?? '',
  };
  const caches = readCaches(of[labels.caches]);
  if (!caches || (caches.length > 0 && !revisionPattern.test(owner.revision))) return undefined;
  return caches.map((cache) => ({ ...cache, volume: cacheVolume(owner, cache.name) }));
}
