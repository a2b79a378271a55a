/** Decides whether a task has the say over a workload that is there: by its owner, and by fencing number. */
import { AgentError } from '../contract/failures.ts';
import type { Identity } from '../contract/identifiers.ts';
import { labels } from '../contract/names.ts';
import type { ContainerFacts } from '../runtime/engine.ts';

/** Fencing number that the container was made under. */
export function fencingOf(container: Pick<ContainerFacts, 'labels'>): number {
  return Number(container.labels[labels.fencing] ?? 0);
}

/**
 * `task.untrusted` if the container belongs to another project than the task says, `task.stale` if it was made by a
 * newer task.
 */
export function requireSay(container: ContainerFacts, identity: Identity, fencing: number): void {
  if (container.labels[labels.project] !== identity.project_id) {
    const message = 'is not the project of this workload';
    throw new AgentError('task.untrusted', {
      errors: [{ path: '/params/identity/project_id', code: 'other_project', message }],
    });
  }
  refuseStale(container, fencing);
}

function refuseStale(container: ContainerFacts, fencing: number): void {
  const seen = fencingOf(container);
  if (fencing < seen) {
    throw new AgentError('task.stale', { reason: `Fencing ${fencing} is below ${seen}.`, fencing, seen });
  }
}
