/** How a container of a job has ended, and what that makes of its step. */
import { constants } from 'node:os';
import { AgentError, type Failure, type FailureDetail } from '../contract/failures.ts';
import type { StepState } from '../contract/job-state.ts';
import { toUnixNanos } from '../kit/nano-time.ts';
import type { ContainerFacts } from '../runtime/engine.ts';
import type { StepRecord } from './job-record.ts';
import type { Part } from './parts.ts';

export type Exit = Pick<StepRecord, 'exit_code' | 'signal' | 'oom_killed'>;

/** Of two names for one number the first counts. */
const signals = new Map(
  Object.entries(constants.signals)
    .reverse()
    .map(([name, number]) => [number, name]),
);

/** The init process of a container ends with 128 and the number of the signal that has ended the program. */
export function exitOf({ exitCode, oomKilled }: Pick<ContainerFacts, 'exitCode' | 'oomKilled'>): Exit {
  const signal = exitCode === null ? undefined : signals.get(exitCode - 128);
  return { exit_code: signal ? null : exitCode, signal: signal ?? null, oom_killed: oomKilled };
}

export interface StepEnd {
  readonly state: StepState;
  readonly failure: Failure | null;
}

/** `excerpt`: the end of what it has said. `advice`: what that tells of what is to be done. */
export function endOf(
  part: Part,
  { ending, exit_code, signal, oom_killed, ready, ...script }: StepRecord,
  { excerpt, advice }: { readonly excerpt: string; readonly advice: string | undefined },
): StepEnd {
  const facts = { step: part.id, phase: part.kind, exit_code, signal, excerpt };
  const failed = (error: AgentError, state: StepState = 'failed') => ({ state, failure: error.toFailure() });
  switch (ending) {
    case 'cancelled':
      return { state: 'cancelled', failure: null };
    case 'served': {
      const { command_failure: failure = null } = script;
      const detail = failure?.detail as FailureDetail | undefined;
      if (failure && oom_killed) return failed(new AgentError('container.oom_killed', { ...detail }));
      return { state: failure ? 'failed' : 'succeeded', failure };
    }
    case 'timed_out': {
      const reason = `It is ${part.id}, which had ${part.timeout_seconds} s.`;
      return failed(
        new AgentError('step.timed_out', { ...facts, reason, timeout_seconds: part.timeout_seconds ?? 0 }),
        'timed_out',
      );
    }
    case 'unhealthy':
      return failed(new AgentError('step.unhealthy', { ...facts, reason: `It is ${part.id}.` }));
    case null:
      break;
  }
  const under = script.at_work ? `, in which command ${script.at_work.index} was at work` : '';
  if (oom_killed)
    return failed(new AgentError('container.oom_killed', { ...facts, reason: `It is the step ${part.id}${under}.` }));
  if (part.script) {
    const how = signal === null ? `ended with ${exit_code}` : `was ended by ${signal}`;
    return failed(
      new AgentError('container.exited', { ...facts, reason: `It is that of ${part.id}${under}: it ${how}.` }),
    );
  }
  if (exit_code === 0 && part.kind === 'service' && !ready && isAsked(part)) {
    return failed(new AgentError('step.failed', { ...facts, reason: `${part.id} ended with 0 before it was ready.` }));
  }
  if (exit_code === 0) return { state: 'succeeded', failure: null };
  const how = signal === null ? `ended with ${exit_code}` : `was ended by ${signal}`;
  const reason = [`${part.id} ${how}.`, ...(advice === undefined ? [] : [advice])].join(' ');
  return failed(new AgentError('step.failed', { ...facts, reason, ...(advice !== undefined && { advice }) }));
}

/** An engine notes a start a moment after it: what is over at once would have ended before it began. */
export function endTime({ started_at }: Pick<StepRecord, 'started_at'>, finishedAt: string): string {
  const [start, end] = [toUnixNanos(started_at ?? ''), toUnixNanos(finishedAt)];
  return started_at !== null && start !== undefined && end !== undefined && start > end ? started_at : finishedAt;
}

/** True where something is asked of it before it counts as ready. */
function isAsked({ healthcheck, expose }: Part): boolean {
  return healthcheck !== undefined || expose.length > 0;
}

/** A service that was well for so long begins to count its restarts anew. */
const wellMs = 60_000;

/** Restarts by its policy so far: of a service those in a row. `ended` is what its container is like now. */
export function restartsSoFar(
  { kind }: Part,
  { attempts, retries = 0, ready, run_started_at }: StepRecord,
  ended: Pick<ContainerFacts, 'finishedAt'> | undefined,
): number {
  if (kind !== 'service') return attempts - 1;
  const ran = Date.parse(ended?.finishedAt ?? '') - Date.parse(run_started_at ?? '');
  return ready && ran >= wellMs ? 0 : retries;
}

/** True where it is to be started once more. A health check that does not pass any more is a failed end. */
export function mayRestart(
  { restart, healthcheck, kind }: Part,
  { ending, exit_code }: StepRecord,
  restarts: number,
): boolean {
  const isUnhealthy = kind === 'service' && healthcheck !== undefined && ending === 'unhealthy';
  if ((ending !== null && !isUnhealthy) || restarts >= restart.max_retries) return false;
  return restart.policy === 'always' || (restart.policy === 'on_failure' && (exit_code !== 0 || isUnhealthy));
}
