/** What a look at the engine says about one workload, in the few words that supervision decides by. Pure. */
import { AgentError, type Failure, type FailureDetail } from '../../contract/failures.ts';
import { labels } from '../../contract/names.ts';
import { readReadinessLabel } from '../../policy/readiness-label.ts';
import type { ContainerFacts } from '../../runtime/engine.ts';
import { endpointsOf } from '../../tasks/workload-report.ts';
import type { KeptWorkload } from '../journal/journal.ts';
import { type ContainerEnd, restartFromLabels } from './restart-policy.ts';

export type Sighting =
  | { readonly kind: 'gone' }
  | { readonly kind: 'running'; readonly unhealthy: boolean; readonly since: string | null }
  | ({ readonly kind: 'ended'; readonly at: string | null; readonly error: string } & ContainerEnd)
  /** Created and never started, paused, being removed: nothing to act on. */
  | { readonly kind: 'other'; readonly status: string };

export function sightingOf(facts: ContainerFacts | undefined): Sighting {
  if (facts === undefined) {
    return { kind: 'gone' };
  }
  switch (facts.status) {
    case 'running':
      return { kind: 'running', unhealthy: facts.health === 'unhealthy', since: facts.startedAt };
    case 'exited':
    case 'dead': {
      const { exitCode, oomKilled, finishedAt, error } = facts;
      return { kind: 'ended', exitCode, oomKilled, at: finishedAt, error };
    }
    default:
      return { kind: 'other', status: facts.status };
  }
}

const bySignal = 128;

/**
 * Why a workload that should run does not. Exit 137 alone says that somebody sent SIGKILL; only the kernel's own word
 * makes it `container.oom_killed` (FAULTS 26).
 */
export function failureOfEnd(name: string, end: ContainerEnd, error: string, excerpt: string): Failure {
  const detail: FailureDetail = { container: name, exit_code: end.exitCode, excerpt };
  if (end.oomKilled) {
    return new AgentError('container.oom_killed', detail).toFailure();
  }
  const signal = (end.exitCode ?? 0) > bySignal ? (end.exitCode ?? 0) - bySignal : null;
  const reason =
    error !== ''
      ? error
      : signal === null
        ? null
        : `Signal ${signal} ended it, and no task had asked for that: somebody on the host, or the engine as it stopped.`;
  return new AgentError('container.exited', reason === null ? detail : { ...detail, reason }).toFailure();
}

/** What a container of ours says about itself, for an agent that knows nothing of it any more (FAULTS 19). */
export function rebuiltWorkload(facts: ContainerFacts, now: string): KeptWorkload | undefined {
  const id = facts.labels[labels.instance];
  if (id === undefined) {
    return undefined;
  }
  const running = facts.status === 'running';
  const readiness = readReadinessLabel(facts.labels[labels.readiness]);
  return {
    workload_id: id,
    project_id: facts.labels[labels.project] ?? '',
    allocation_id: facts.labels[labels.allocation] ?? '',
    fencing: Number(facts.labels[labels.fencing] ?? 0),
    task_id: facts.labels[labels.task] ?? '',
    params: null,
    restart: restartFromLabels(facts.labels),
    ...(readiness ? { readiness } : {}),
    desired: running ? 'running' : 'stopped',
    state: running ? 'running' : 'stopped',
    since: (running ? facts.startedAt : facts.finishedAt) ?? now,
    endpoints: endpointsOf(facts),
    restarts: 0,
    streak: 0,
  };
}
