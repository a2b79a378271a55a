/** Jobs that hosts have now, as whoever places something else there sees them. */
import type { Job, JobAttempt } from '../db/entities/job.ts';
import type { ReadTx } from '../db/store.ts';
import type { Neighbour } from '../launch/resource-fit.ts';

export const openStates = ['queued', 'preparing', 'running'] as const;

/** The attempt that its host is at, also to clean up after it; undefined while the job waits for one, and after that. */
export function presentAttempt({ attempts }: Job): JobAttempt | undefined {
  const last = attempts.at(-1);
  return last?.ended_at === null ? last : undefined;
}

/** By allocation: what each job has been given. */
export async function jobsAtWork(tx: ReadTx, projectId: string): Promise<Map<string, Neighbour[]>> {
  const open = await tx.jobs.list({ where: { project_id: projectId, state: openStates } });
  const at = open.flatMap((job) => {
    const attempt = presentAttempt(job);
    return attempt ? [{ allocation: attempt.allocation_id, neighbour: asNeighbour(job, attempt) }] : [];
  });
  const grouped = Map.groupBy(at, ({ allocation }) => allocation);
  return new Map([...grouped].map(([allocation, jobs]) => [allocation, jobs.map(({ neighbour }) => neighbour)]));
}

function asNeighbour({ id, name, needs, revision_sha256 }: Job, { resources }: JobAttempt): Neighbour {
  return {
    ...{ id, display_name: name, resources, host_ports: {} },
    ...{ state: 'running', desired: 'running', failure: null, history: [] },
    disk: { job: id, gib: needs.disk_gib, revision: revision_sha256 },
  };
}
