/**
 * What is still taken of an attempt that has ended: what its receipt names, or else what its host told with the end. A host that is
 * taken over later cannot put something else in the place of what a job has brought out.
 */
import type { KeptOutput } from '../../contract/job-outputs.ts';
import { jobHasEnded } from '../../contract/job-state.ts';
import { readUnverified } from '../../policy/job-receipts.ts';
import type { Job } from '../db/entities/job.ts';
import type { ReadTx } from '../db/store.ts';

/** Why an output of the job is not taken any more; null where it is. */
export async function lateRefusal(
  tx: ReadTx,
  job: Job,
  { name, sha256 }: Pick<KeptOutput, 'name' | 'sha256'>,
): Promise<string | null> {
  const attempt = job.attempts.at(-1);
  if (!attempt || (attempt.ended_at === null && !jobHasEnded(job.state))) return null;
  const news = await tx.job_news.get(job.id);
  const signed = news?.receipt ? readUnverified(news.receipt) : undefined;
  const its = signed?.job_id === job.id ? signed.outputs : undefined;
  // The rest may be of an attempt before, of which what is not made anew stays.
  const ahead = news?.ahead?.attempt === attempt.number ? news.ahead : undefined;
  const told = [ahead?.outputs, its, news?.outputs]
    .flatMap((outputs) => outputs ?? [])
    .find((each) => each.name === name);
  if (told) return told.sha256 === sha256 ? null : `The job has ended, and what it has of this name is ${told.sha256}.`;
  const isOver = news?.attempt === attempt.number && (news.receipt !== null || jobHasEnded(news.report.state));
  const isTold = isOver || (ahead !== undefined && jobHasEnded(ahead.state));
  if (isTold) return 'The job has ended, and has nothing of this name.';
  // Nobody has heard of its end from its host: what that has is new, and takes nothing's place.
  const rows = await tx.job_outputs.list({ where: { job_id: job.id, name, state: 'stored' } });
  const other = rows.find((row) => row.sha256 !== sha256);
  return other ? `The job has ended, and what it has of this name is ${other.sha256}.` : null;
}
