/** Jobs that hosts have now, as whoever places something else there sees them. */
import type { Job, JobAttempt } from '../db/entities/job.ts';
import type { ReadTx } from '../db/store.ts';
import type { Neighbour } from '../launch/resource-fit.ts';
import { claimOf } from './held-disk.ts';

export const openStates = ['queued', 'preparing', 'running'] as const;

/** The attempt that its host is at, also to clean up after it; undefined while the job waits for one, and after that. */
export function presentAttempt({ attempts }: Job): JobAttempt | undefined {
  const last = attempts.at(-1);
  return last?.ended_at === null ? last : undefined;
}

/** By allocation: what each job has been given, that first which has it for the longest. */
export async function jobsAtWork(tx: ReadTx, projectId: string): Promise<Map<string, Neighbour[]>> {
  const open = await tx.jobs.list({ where: { project_id: projectId, state: openStates } });
  const at = open.flatMap((job) => {
    const attempt = presentAttempt(job);
    return attempt ? [{ attempt, neighbour: asNeighbour(job, attempt) }] : [];
  });
  at.sort((a, b) => Date.parse(a.attempt.dispatched_at) - Date.parse(b.attempt.dispatched_at));
  const grouped = Map.groupBy(at, ({ attempt }) => attempt.allocation_id);
  return new Map([...grouped].map(([allocation, jobs]) => [allocation, jobs.map(({ neighbour }) => neighbour)]));
}

function asNeighbour({ id, name, needs, revision_sha256 }: Job, { resources, disk_found_gib }: JobAttempt): Neighbour {
  return {
    ...{ id, display_name: name, resources, host_ports: {} },
    ...{ state: 'running', desired: 'running', failure: null, history: [] },
    disk: claimOf(needs, revision_sha256, disk_found_gib),
  };
}
