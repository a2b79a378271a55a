import { unlessAborted } from '../kit/unless-aborted.ts';

/** This process has let go of its jobs: nothing of them may be done or written down any more. */
export class JobLetGo extends Error {
  override readonly name = 'JobLetGo';
}

/** Jobs that are at work in this process, for whoever wants one of them to end. */
export class RunningJobs {
  readonly #atWork = new Map<string, { readonly cancel: AbortController; readonly ended: Promise<void> }>();
  #isLetGo = false;
  readonly #wanted = new Map<string, PromiseWithResolvers<void>>();

  /** From now on nothing of any job is done or written down: the next process takes them up as they are. */
  letGo(): void {
    this.#isLetGo = true;
  }

  /** Throws once they were let go of. */
  assertHeld(): void {
    if (this.#isLetGo) throw new JobLetGo('the jobs of this process are left to the next one');
  }

  has(job: string): boolean {
    return this.#atWork.has(job);
  }

  /** Runs `work`, whose signal aborts when somebody wants the job to end. Only one at a time for each job. */
  async run<T>(job: string, work: (cancelled: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#atWork.has(job)) throw new Error(`job ${job} is at work already`);
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    const cancel = new AbortController();
    this.#atWork.set(job, { cancel, ended });
    try {
      return await work(cancel.signal);
    } finally {
      this.#atWork.delete(job);
      resolve();
      this.#wanted.get(job)?.resolve();
      this.#wanted.delete(job);
    }
  }

  /**
   * Asks it to end, and resolves when it has. One that is not at work yet is waited for: its record says that it is to end.
   * Rejects with the signal's reason.
   */
  async cancel(job: string, signal: AbortSignal): Promise<void> {
    const atWork = this.#atWork.get(job);
    atWork?.cancel.abort();
    const waiting = this.#wanted.get(job) ?? Promise.withResolvers<void>();
    if (!atWork) this.#wanted.set(job, waiting);
    await unlessAborted(atWork?.ended ?? waiting.promise, signal);
  }
}
