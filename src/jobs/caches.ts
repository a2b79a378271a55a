/**
 * Caches of a job: what the plan allows each to hold is asked before it is used, and told of after.
 *
 *   job ends ──▶ measured ──(more than `max_bytes`)──▶ event ──▶ next job of the revision ──▶ emptied, event
 *
 * Never while a container has it: another job of the revision may be at work. Services that jobs share have all of them for as long as they
 * live: they are ended with the last job that leaves such a cache behind. What nobody has measured since its last use, as where
 * the agent was killed meanwhile, is measured before the next.
 */
import { AgentError } from '../contract/failures.ts';
import type { JobCache } from '../contract/job-plan.ts';
import { toItsEnd } from '../kit/to-its-end.ts';
import { cacheVolume } from '../policy/caches.ts';
import type { CacheSummary } from '../runtime/engine.ts';
import type { RunningJob } from './running-job.ts';

/** Before the first container of the job. */
export async function limitCaches(job: RunningJob, signal: AbortSignal): Promise<void> {
  if (limited(job).length === 0) return;
  let found = ofPlan(job, await job.ground.engine.caches({ measure: false, signal }));
  if (found.some(({ summary }) => summary.bytes === null && !summary.in_use)) {
    found = ofPlan(job, await job.ground.engine.caches({ measure: true, signal }));
  }
  for (const { cache, summary, most } of found) {
    if (summary.bytes === null || summary.bytes <= most) continue;
    const values = { cache: cache.name, bytes: summary.bytes, max_bytes: most };
    try {
      await job.ground.engine.removeCache(summary.volume, { empty: true, signal });
      job.emit('cache.emptied', `${cache.name} held more than it may, and begins empty.`, values);
    } catch (error) {
      if (!(error instanceof AgentError) || error.code !== 'cache.in_use') throw error;
      job.ground.log.info({ cache: cache.name }, 'a cache that holds too much is in use, and stays as it is');
    }
  }
}

/** After its last container. */
export async function measureCaches(job: RunningJob): Promise<void> {
  if (limited(job).length === 0) return;
  const { engine, jobs } = job.ground;
  const signal = toItsEnd();
  const over = ofPlan(job, await engine.caches({ measure: true, signal })).filter(
    ({ summary: { bytes }, most }) => bytes !== null && bytes > most,
  );
  for (const { cache, summary, most } of over) {
    const values = { cache: cache.name, bytes: summary.bytes, max_bytes: most };
    job.emit(
      'cache.over_limit',
      `${cache.name} holds more than it may: it is emptied before it is used again.`,
      values,
    );
  }
  if (over.length > 0 && job.group) await jobs.groups.endUnused(job.group.id, engine);
}

/** Those of the plan that may not hold whatever they like. */
function limited({ plan }: RunningJob): readonly (JobCache & { readonly max_bytes: number })[] {
  return (plan.caches ?? []).flatMap((cache) =>
    cache.max_bytes === undefined ? [] : [{ ...cache, max_bytes: cache.max_bytes }],
  );
}

function ofPlan(job: RunningJob, summaries: readonly CacheSummary[]) {
  const { project_id: project, allocation_id: allocation } = job.plan.identity;
  return limited(job).flatMap((cache) => {
    const volume = cacheVolume({ allocation, project, revision: cache.revision_sha256 }, cache.name);
    const summary = summaries.find((each) => each.volume === volume);
    return summary ? [{ cache, summary, most: cache.max_bytes }] : [];
  });
}
