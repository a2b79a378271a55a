/** What to do about a job that did not succeed, with the facts of this very case. */
import type { Failure } from '../../contract/failures.ts';
import type { JobPlan } from '../../contract/job-plan.ts';
import { adviceFor } from './advice.ts';
import { culpritOf, type JobFacts, type JobPart } from './job-facts.ts';

export function jobAdvice(failure: Failure, job: JobFacts): string {
  const { job_id: id, plan } = job.kept;
  const part = culpritOf(job);
  const memoryGib = part?.plan.resources.memory_gib ?? plan.resources.memory_gib;
  return (
    (part && partAdvice(failure, job, part)) ??
    ownAdvice(failure, plan) ??
    adviceFor(failure, { instance: id, memoryGib })
  );
}

function partAdvice({ code }: Failure, job: JobFacts, part: JobPart): string | undefined {
  const { id, timeout_seconds: seconds, resources } = part.plan;
  const { memory_gib: memoryGib } = resources;
  switch (code) {
    case 'container.oom_killed':
      return `Submit it again with more memory: ${id} had ${round(memoryGib)} GiB, ${round(memoryGib * 2)} to begin with; or make it use less.`;
    case 'step.failed':
      return afterExit(job, part);
    case 'step.timed_out':
      return `Find out what took so long${inLog(job, part)}, or allow ${id} more than ${seconds} s.`;
    case 'step.unhealthy':
      return `Find out why the check did not pass${inLog(job, part)}, correct the job and submit it again.`;
    default:
      return undefined;
  }
}

function ownAdvice({ code, detail }: Failure, plan: JobPlan): string | undefined {
  switch (code) {
    case 'output.missing':
      return `Have a step write ${String(detail['path'] ?? 'it')}, or do not require it; then submit the job again.`;
    case 'job.cancelled':
      return 'Nothing: somebody asked for it. Submit it again when it is wanted.';
    case 'job.expired':
      return `Find out what took so long (the durations are above), or allow it more than ${plan.deadline_seconds} s.`;
    default:
      return undefined;
  }
}

function afterExit(job: JobFacts, part: JobPart): string {
  const { id } = part.plan;
  const { exit_code: code, failure } = part.record;
  const { advice } = failure?.detail ?? {};
  if (typeof advice === 'string') return `${advice} Correct the job and submit it again.`;
  if (code === 127 || code === 126) {
    return `Correct the command of ${id}: what it names is not in its image or cannot be executed.`;
  }
  const isSeen = String(failure?.detail['excerpt'] ?? '').trim() !== '';
  const log = logOf(job, part);
  const where = [isSeen ? 'its last lines are above' : '', log && `all of it is ${log}`].filter((each) => each !== '');
  const there = where.length === 0 ? '' : ` (${where.join(', ')})`;
  return `Find the error in what ${id} wrote${there}, correct the job and submit it again.`;
}

function inLog(job: JobFacts, part: JobPart): string {
  const log = logOf(job, part);
  return log === '' ? '' : ` (${log})`;
}

/** The containers of a job are gone with its end, unless it is kept; a job of a command on this host left no log elsewhere. */
function logOf({ kept: { job_id, plan }, launch }: JobFacts, part: JobPart): string {
  if (plan.keep) return `\`node-agent logs ${job_id} --service ${part.plan.id}\``;
  return launch?.traceId === '' ? '' : `\`gpuaas jobs logs ${job_id} --step ${part.plan.id}\``;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
