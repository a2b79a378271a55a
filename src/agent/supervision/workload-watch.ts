/**
 * Watches one workload between tasks, part by part: the container it has, or those of the services of a stack.
 *
 * A task has precedence; the watch stands aside for it, gives up what it was waiting for, and looks at everything anew
 * afterwards, as whatever a task has touched is another thing than before.
 */

import { PartWatch, type WatchMeans } from './part-watch.ts';
import { partsOf } from './parts.ts';

export class WorkloadWatch {
  readonly #id: string;
  readonly #means: WatchMeans;
  readonly #parts = new Map<string, PartWatch>();
  #tasks = 0;

  constructor(id: string, means: WatchMeans) {
    this.#id = id;
    this.#means = means;
  }

  /** Looks at each container when earlier looks are over. Does nothing while a task is at work. */
  async look(): Promise<void> {
    await Promise.all([...this.#watched().values()].map((part) => part.look()));
  }

  /** Looks at that container, for whatever the engine said of it. */
  async lookAt(container: string): Promise<void> {
    await this.#watched().get(container)?.look();
  }

  /** The kernel killed a process of that container for its memory, at that time of the engine. */
  async noteOom(container: string, time: string): Promise<void> {
    await this.#watched().get(container)?.noteOom(time);
  }

  /** Resolves when nothing is done to the workload any more. For a task, or for the end of the agent; `resume` undoes it. */
  async standAside(): Promise<void> {
    this.#tasks += 1;
    await Promise.all([...this.#parts.values()].map((part) => part.end()));
  }

  resume(): void {
    this.#tasks -= 1;
    if (this.#tasks === 0) {
      this.#parts.clear();
      void this.look();
    }
  }

  /** By container; none while a task is at work, and none of what is not kept. */
  #watched(): ReadonlyMap<string, PartWatch> {
    const row = this.#tasks === 0 ? this.#means.journal.workload(this.#id) : undefined;
    if (!row) {
      return new Map();
    }
    for (const part of partsOf(row)) {
      if (!this.#parts.has(part.container)) {
        this.#parts.set(part.container, new PartWatch(part, this.#means));
      }
    }
    return this.#parts;
  }
}
