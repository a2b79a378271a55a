import type { JobView } from '../../server/jobs/job-view.ts';
import type { ControlPlaneClient } from './client.ts';

/** Where jobs are in the interface. */
export const jobsPath = '/api/v1/jobs';
export const jobPath = (id: string) => `${jobsPath}/${encodeURIComponent(id)}`;

/** Id of a step in the plan, by that id or by what its author calls it; as it was given where the job has no such step. */
export async function stepIdOf(client: ControlPlaneClient, job: string, step: string): Promise<string> {
  const { steps } = await client.get<JobView>(jobPath(job));
  const isKnown = steps.some(({ id }) => id === step);
  return isKnown ? step : (steps.find(({ name }) => name === step)?.id ?? step);
}
