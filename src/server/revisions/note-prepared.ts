/** Which hosts have built a revision, by what they report of its jobs. */
import type { JobReport } from '../../contract/job-report.ts';
import type { Job, JobAttempt } from '../db/entities/job.ts';
import type { Tx } from '../db/store.ts';

const maxNodes = 1000;

/** Once for each attempt. What was begun of it runs in what its host has built, also where it fails then. */
export async function notePrepared(
  tx: Tx,
  { project_id, revision_sha256: sha256 }: Pick<Job, 'project_id' | 'revision_sha256'>,
  { node_id, dispatched_at }: Pick<JobAttempt, 'node_id' | 'dispatched_at'>,
  report: Pick<JobReport, 'steps' | 'checks'>,
  now: number,
): Promise<void> {
  if (sha256 === undefined || !hasBegun(report)) return;
  const revision = await tx.revisions.find({ project_id, sha256 });
  const before = revision?.prepared_on.find((each) => each.node_id === node_id);
  if (!revision || (before && before.at >= dispatched_at)) return;
  const others = revision.prepared_on.filter((each) => each !== before).slice(1 - maxNodes);
  await tx.revisions.put({ ...revision, prepared_on: [...others, { node_id, at: new Date(now).toISOString() }] });
}

function hasBegun({ steps, checks = [] }: Pick<JobReport, 'steps' | 'checks'>): boolean {
  const isDone = checks.some(({ state }) => state !== 'pending' && state !== 'skipped');
  return isDone || steps.some(({ started_at }) => started_at !== null);
}
