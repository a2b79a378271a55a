/** What runs before and beside the steps: services, which are ready before anything else, then checks and init. */
import { AgentError, type Failure } from '../contract/failures.ts';
import { stepHasEnded } from '../contract/job-state.ts';
import { pause } from '../kit/backoff.ts';
import type { Part } from './parts.ts';
import { runStep } from './run-step.ts';
import type { RunningJob } from './running-job.ts';

/** Services at work. `failed` aborts, with why, as soon as one has ended that was not to. */
export class Services {
  readonly #job: RunningJob;
  readonly #failed = new AbortController();
  readonly #atWork: Promise<void>[] = [];
  #isOver = false;

  constructor(job: RunningJob) {
    this.#job = job;
  }

  get failed(): AbortSignal {
    return this.#failed.signal;
  }

  /** Resolves when all are ready. Those that an earlier life of the agent has stopped, after the last step, are not begun again. */
  async start(signal: AbortSignal): Promise<void> {
    const services = this.#job.parts.filter(({ kind }) => kind === 'service');
    for (const part of services) this.#begin(part);
    const wanted = services.filter(({ id }) => !this.#hasServed(id));
    await Promise.all(wanted.map((part) => this.#untilReady(part, AbortSignal.any([signal, this.failed]))));
  }

  /** Ends them, in any order, and resolves when they have. */
  async stop(ending: 'served' | 'cancelled'): Promise<void> {
    this.#isOver = true;
    for (const { id } of this.#job.parts.filter(({ kind }) => kind === 'service')) {
      if (this.#job.step(id).state === 'running' || this.#job.step(id).attempts > 0) this.#job.stop(id, ending);
    }
    await Promise.all(this.#atWork);
  }

  #begin(part: Part): void {
    const { id } = part;
    if (stepHasEnded(this.#job.step(id).state)) {
      this.#fail(id);
      return;
    }
    if (this.#job.step(id).state === 'pending') this.#job.updateStep(id, { state: 'waiting' });
    const work = runStep(this.#job, part).then(() => this.#fail(id));
    work.catch((error: unknown) => this.#failed.abort(error));
    this.#atWork.push(work);
  }

  #hasServed(id: string): boolean {
    return this.#job.step(id).ending === 'served';
  }

  #fail(id: string): void {
    if (this.#isOver || this.#hasServed(id)) return;
    const { failure, exit_code, state } = this.#job.step(id);
    if (state === 'succeeded' && this.#mayEnd(id)) return;
    const reason = `The service ${id} has ended while the job runs.`;
    const { code = 'step.failed', detail = {} } = failure ?? {};
    const facts = { ...(detail as object), phase: 'service', service: id, exit_code };
    this.#failed.abort(new AgentError(code, { ...facts, reason }));
  }

  /** One that has ended with 0 has done its work, unless it is to be there always. */
  #mayEnd(id: string): boolean {
    return this.#job.parts.some((part) => part.id === id && part.restart.policy !== 'always');
  }

  async #untilReady({ id, ready_seconds: seconds = 60 }: Part, signal: AbortSignal): Promise<void> {
    const late = new AbortController();
    const limit = pause(seconds * 1000, AbortSignal.any([signal, late.signal])).then(() => {
      const answer = this.#job.answers.get(id) ?? null;
      const reason = `It is the service ${id}, which had ${seconds} s${answer === null ? '' : `: ${answer}`}.`;
      throw new AgentError('readiness.timed_out', { reason, service: id, phase: 'service', answer });
    });
    limit.catch(() => undefined);
    try {
      while (!this.#job.step(id).ready && this.#job.step(id).state !== 'succeeded')
        await Promise.race([this.#job.changed(), limit]);
    } finally {
      late.abort();
    }
  }
}

/** Runs checks, then init, one after another. Throws the failure of the first that does not end with 0. */
export async function runBefore(job: RunningJob, signal: AbortSignal): Promise<void> {
  for (const part of job.parts.filter(({ kind }) => kind === 'check' || kind === 'init')) {
    const { id } = part;
    signal.throwIfAborted();
    if (!stepHasEnded(job.step(id).state)) {
      if (job.step(id).state === 'pending') job.updateStep(id, { state: 'waiting' });
      const leave = () => job.stop(id, 'cancelled');
      signal.addEventListener('abort', leave, { once: true });
      await runStep(job, part).finally(() => signal.removeEventListener('abort', leave));
    }
    signal.throwIfAborted();
    if (job.step(id).state !== 'succeeded') throw failureBefore(part, job.step(id).failure);
  }
}

/** What went wrong with the host, and not with a check, keeps its code. */
function failureBefore({ id, kind, label = id }: Part, failure: Failure | null): AgentError {
  const { code = 'step.failed', detail = {}, message = '' } = failure ?? {};
  const facts = { ...(detail as object), phase: kind };
  if (kind === 'init') return new AgentError(code, { ...facts, reason: `The preparation ${id} did not succeed.` });
  const reason = `It is ${label}. ${message}`.trimEnd();
  const isItsOwn = ownEnds.has(code);
  return new AgentError(isItsOwn ? 'preflight.failed' : code, {
    ...facts,
    check: label,
    kind: 'command',
    code,
    reason,
  });
}

const ownEnds: ReadonlySet<string> = new Set(['step.failed', 'step.timed_out', 'container.oom_killed']);
