/** Decides by fencing number whether a task still has the say over a workload. */
import { AgentError } from '../contract/failures.ts';
import { labels } from '../contract/names.ts';
import type { ContainerFacts } from '../runtime/engine.ts';

/** Fencing number that the container was made under. */
export function fencingOf(container: ContainerFacts): number {
  return Number(container.labels[labels.fencing] ?? 0);
}

/** `task.stale` if the container was made by a newer task than this one. */
export function refuseStale(container: ContainerFacts, fencing: number): void {
  const seen = fencingOf(container);
  if (fencing < seen) {
    throw new AgentError('task.stale', { reason: `Fencing ${fencing} is below ${seen}.`, fencing, seen });
  }
}
