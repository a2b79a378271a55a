/** Which revisions of projects a plan is of. */
import type { JobPlan } from '../contract/job-plan.ts';

/** Those that its images are built of, and those whose caches it has. */
export function revisionsOf({ images, caches = [] }: Pick<JobPlan, 'images' | 'caches'>): ReadonlySet<string> {
  return new Set([
    ...images.flatMap(({ source }) => (source.kind === 'build' ? [source.revision_sha256] : [])),
    ...caches.map(({ revision_sha256 }) => revision_sha256),
  ]);
}
