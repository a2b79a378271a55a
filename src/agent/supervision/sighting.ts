/** What a look at the engine says about one workload, in the few words that supervision decides by. Pure. */
import { AgentError, type Failure, type FailureDetail } from '../../contract/failures.ts';
import type { ContainerFacts } from '../../runtime/engine.ts';
import type { ContainerEnd } from './restart-policy.ts';

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
