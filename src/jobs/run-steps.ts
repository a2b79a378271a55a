/** Carries out the steps of a job: what may start is started, what has served its purpose is stopped, until nothing is left. */
import { stepHasEnded } from '../contract/job-state.ts';
import type { Part } from './parts.ts';
import { fillVolume, provideInput } from './prepare-job.ts';
import { runStep } from './run-step.ts';
import { failureOf, type RunningJob } from './running-job.ts';
import { whatNext } from './what-next.ts';

/** Resolves when every step has ended. Once the signal is aborted nothing more is started, and what runs is stopped. */
export async function runSteps(job: RunningJob, signal: AbortSignal): Promise<void> {
  const { plan } = job;
  const parts = new Map(job.parts.map((part) => [part.id, part]));
  const atWork = new Map<string, Promise<void>>();
  const trouble = Promise.withResolvers<never>();
  trouble.promise.catch(() => undefined);
  const begin = (id: string) => {
    const part = parts.get(id);
    if (!part || atWork.has(id)) return;
    const work = withInputs(job, part, signal).finally(() => atWork.delete(id));
    atWork.set(id, work);
    work.catch(trouble.reject);
  };
  const aborted = Promise.withResolvers<void>();
  const leave = () => aborted.resolve();
  signal.addEventListener('abort', leave, { once: true });
  try {
    // What an earlier life of the agent had begun.
    for (const { id } of plan.steps) if (job.step(id).state === 'running') begin(id);
    for (;;) {
      if (signal.aborted) {
        cancelSteps(job, new Set(atWork.keys()));
        await Promise.race([Promise.all(atWork.values()), trouble.promise]);
        return;
      }
      const changed = job.changed();
      const next = whatNext(plan, (id) => job.step(id));
      for (const id of next.wait) job.updateStep(id, { state: 'waiting' });
      for (const id of next.skip) job.updateStep(id, { state: 'skipped' });
      for (const id of next.start) begin(id);
      for (const id of next.stop) job.stop(id, 'served');
      if (next.end !== undefined) return;
      await Promise.race([changed, aborted.promise, trouble.promise]);
    }
  } finally {
    signal.removeEventListener('abort', leave);
  }
}

/** A step whose data cannot be had has failed, without a start. */
async function withInputs(job: RunningJob, part: Part, signal: AbortSignal): Promise<void> {
  const missing = job.plan.inputs.filter(({ id }) => part.needs.includes(id) && !job.record.inputs[id]);
  try {
    for (const input of missing) {
      await provideInput(job, input, signal);
      await fillVolume(job, input.volume, signal);
    }
  } catch (error) {
    if (signal.aborted) return;
    job.updateStep(part.id, { state: 'failed', failure: failureOf(error), ended_at: new Date().toISOString() });
    return;
  }
  if (signal.aborted && job.step(part.id).state !== 'running') return;
  await runStep(job, part);
}

/** What runs ends with its grace; what has not begun never does. */
function cancelSteps(job: RunningJob, atWork: ReadonlySet<string>): void {
  for (const { id } of job.plan.steps) {
    const { state } = job.step(id);
    if (stepHasEnded(state)) continue;
    if (state === 'running' || (atWork.has(id) && job.step(id).attempts > 0)) job.stop(id, 'cancelled');
    else job.updateStep(id, { state: 'cancelled', ended_at: null });
  }
}

/** Those that nobody has begun are not begun any more. */
export function skipSteps(job: RunningJob): void {
  for (const { id } of job.plan.steps) {
    const { state, attempts } = job.step(id);
    if (state === 'pending' || (state === 'waiting' && attempts === 0)) job.updateStep(id, { state: 'skipped' });
  }
}
