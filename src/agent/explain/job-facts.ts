/** What is known of one job: its record, and what became of what it has left. */
import type { KeptJob, StepRecord } from '../../jobs/job-record.ts';
import type { OutputState } from '../../jobs/outputs/spool.ts';
import { type Part, partsOf } from '../../jobs/parts.ts';
import { exitWords } from './exit-words.ts';
import type { ExplainSources } from './sources.ts';
import type { TaskStory } from './task-story.ts';

export interface JobFacts {
  /** Without the results of its steps. */
  readonly kept: KeptJob;
  /** Services, checks and init steps as well, in the order in which they begin. */
  readonly parts: readonly JobPart[];
  /** By name; empty where it cannot be read. */
  readonly outputs: ReadonlyMap<string, OutputState>;
  /** The task that carries it out, or has; undefined where that is forgotten. */
  readonly launch: TaskStory | undefined;
  /** All tasks of it that are remembered, oldest first. */
  readonly stories: readonly TaskStory[];
}

export interface JobPart {
  readonly plan: Part;
  readonly record: StepRecord;
  /** Results that it was to have and that were not found. */
  readonly missing: readonly string[];
}

/** Undefined for what is no job, or none that this host still has. */
export async function jobFactsOf(
  id: string,
  { journal, jobOutputs }: Pick<ExplainSources, 'journal' | 'jobOutputs'>,
  stories: readonly TaskStory[],
): Promise<JobFacts | undefined> {
  const kept = journal?.jobs.outline(id);
  if (!kept) return undefined;
  const found = journal?.jobs.resultsOf(id);
  const parts = partsOf(kept.plan).flatMap((plan): JobPart[] => {
    const record = kept.record.steps[plan.id];
    const names = found?.get(plan.id) ?? [];
    const missing = plan.results.map(({ name }) => name).filter((name) => !names.includes(name));
    return record ? [{ plan, record, missing }] : [];
  });
  const launch = stories.findLast(({ taskId }) => taskId === kept.task_id);
  return { kept, parts, outputs: await jobOutputs(id), launch, stories };
}

const kinds = { service: 'service', check: 'check', init: 'init step', step: 'step' } as const;

/** `step train`, as the plan calls it: what its author does is not known here. */
export function partName({ plan: { kind, id } }: JobPart): string {
  return `${kinds[kind]} ${id}`;
}

/** How a part that has begun has ended, in one sentence. */
export function endSentence(part: JobPart): string {
  const { plan, record } = part;
  const { state, ending, failure, exit_code, signal } = record;
  const name = `The ${partName(part)}`;
  switch (failure?.code) {
    case 'step.timed_out':
      return `${name} ran past its ${plan.timeout_seconds} s and was ended.`;
    case 'step.unhealthy':
      return `${name} was ended: a check of it did not pass.`;
    case 'container.oom_killed':
      return `${name} was killed by the kernel: it used more than its ${plan.resources.memory_gib} GiB of memory.`;
  }
  if (state === 'cancelled') return `${name} was cancelled.`;
  if (ending === 'served') return `${name} was stopped: it had served its purpose.`;
  if (signal !== null) return `${name} was ended by ${signal}.`;
  if (exit_code !== null) return `${name} ended with exit code ${exit_code}: ${exitWords(exit_code)}.`;
  return failure ? `${name} could not be carried out. ${failure.message}` : `${name} has ended.`;
}

/** The part that has made the job fail; undefined where it is none of them. */
export function culpritOf({ kept, parts }: JobFacts): JobPart | undefined {
  const { failure } = kept.record;
  const { detail } = failure ?? {};
  const id = detail?.['service'] ?? detail?.['step'];
  // A check has failed by its own code, and the job by that of its preflight.
  const code = failure?.code === 'preflight.failed' ? detail?.['code'] : failure?.code;
  return parts.find(({ plan, record }) => plan.id === id && record.failure && record.failure.code === code);
}

/** Names of outputs that the control plane does not have yet; logs of steps among them. */
export function waitingOutputs({ outputs }: JobFacts): string[] {
  return [...outputs].filter(([, state]) => state === 'waiting').map(([name]) => name);
}
