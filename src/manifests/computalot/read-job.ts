/** A project manifest as whoever takes jobs in wants it. */
import type { ReadJob } from '../job-dialects.ts';
import { readManifest } from './read-manifest.ts';
import { needsOf } from './requirements.ts';
import { planOf } from './to-plan.ts';

export function readComputalotJob(document: unknown): ReadJob {
  const read = readManifest(document);
  if (!read.ok) return read;
  const { manifest, warnings } = read;
  const { gpu_memory_mib: _ofItsHost, ...asks } = needsOf(manifest.requirements ?? {});
  return {
    ...{ ok: true, warnings, needsRevision: true, hidden: {}, asks },
    plan: (wish) => planOf(manifest, wish),
    nameOf: (step) => step,
  };
}
