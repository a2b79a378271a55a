/**
 * Takes away what is left of workloads that are not there any more. Which those are is the supervisor's to say.
 *
 * No task of the workload may begin meanwhile, or it would lose what it makes: it waits for `done`. And each call here must
 * be made in the same turn in which it was seen that no task is at work.
 */

import { takeAway } from '../../jobs/take-away.ts';
import type { Log } from '../../kit/log.ts';
import type { ContainerEngine } from '../../runtime/engine.ts';
import { isEngineAway } from '../../runtime/engine-away.ts';
import type { StackRunner } from '../../runtime/stacks.ts';
import { removeWorkload } from '../../tasks/remove-workload.ts';

export interface ReaperOptions {
  readonly engine: ContainerEngine;
  readonly stacks: Pick<StackRunner, 'forget'>;
  readonly log: Log;
  /** Called with what was taken away, and what could not be. */
  readonly tell: (workloadId: string, message: string, values: Record<string, unknown>) => void;
}

export class Reaper {
  readonly #options: ReaperOptions;
  readonly #atWork = new Map<string, Promise<void>>();

  constructor(options: ReaperOptions) {
    this.#options = options;
  }

  /** Resolves when nothing of the workload is being taken away. */
  async done(workloadId: string): Promise<void> {
    await this.#atWork.get(workloadId);
  }

  /** What a task had removed, or given up, and is there all the same. */
  async takeWorkload(id: string, containers: readonly string[], signal: AbortSignal): Promise<void> {
    await this.#take(id, async () => {
      const { engine, stacks, log, tell } = this.#options;
      const { cleanup } = await removeWorkload({ app_instance_id: id }, { data: false, containers }, engine, signal);
      const { removed, failed } = cleanup;
      if (failed.length === 0) {
        await stacks.forget(id);
      }
      log.warn({ instance: id, removed, failed }, 'orphan taken away');
      const [left, gone] = containers.length === 1 ? ['A container was', 'it was'] : ['Containers were', 'they were'];
      tell(id, `${left} left of a workload that a task had removed; ${gone} taken away.`, { removed, failed });
    });
  }

  /** All of a job that nobody carries out, and nobody wants kept. */
  async takeJob(id: string, containers: readonly string[], signal: AbortSignal): Promise<void> {
    await this.#take(id, async () => {
      const { engine, log, tell } = this.#options;
      const { removed, failed } = await takeAway(id, engine, signal);
      log.warn({ instance: id, removed, failed }, 'orphan taken away');
      const what = containers.length === 1 ? 'A container was' : 'Containers were';
      tell(id, `${what} left of a job that nobody carries out; what it had is taken away.`, { removed, failed });
    });
  }

  /**
   * What a launch left that was interrupted before it had a container, under a journal that is lost since. One that cannot
   * be taken away, as somebody has put a container of his own into it, is logged and left.
   */
  async takeNetwork(id: string, network: string, signal: AbortSignal): Promise<void> {
    await this.#take(id, async () => {
      const { engine, log, tell } = this.#options;
      try {
        if (!(await engine.removeNetwork(network, signal))) {
          return;
        }
      } catch (error) {
        if (signal.aborted || isEngineAway(error)) {
          throw error;
        }
        log.warn({ instance: id, network, err: error }, 'orphan could not be taken away');
        return;
      }
      const values = { removed: [`network ${network}`], failed: [] };
      log.warn({ instance: id, ...values }, 'orphan taken away');
      tell(id, 'A network was left of a workload that is not there; it was taken away.', values);
    });
  }

  async #take(id: string, work: () => Promise<void>): Promise<void> {
    const done = work();
    this.#atWork.set(
      id,
      done.catch(() => undefined),
    );
    try {
      await done;
    } finally {
      this.#atWork.delete(id);
    }
  }
}
