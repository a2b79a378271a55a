/**
 * When images are built and when they are taken away.
 *
 * A build takes up layers of earlier ones of its project, whoever made them, and nobody can say which: so nothing that was built for a
 * project is taken away beside one. No two projects share a layer that was made here.
 */
import { KeyedMutex } from '../kit/mutex.ts';
import { Slots } from '../kit/slots.ts';
import { unlessAborted } from '../kit/unless-aborted.ts';

const removals = 'removals';

export class BuildTurns {
  readonly #places: Slots;
  readonly #removals = new KeyedMutex();
  /** How many are at work, by project. */
  readonly #atWork = new Map<string, number>();
  /** Resolve when builds that nobody waits for any more are over. */
  readonly #givenUp = new Set<Promise<void>>();

  /** `most`: builds at once. */
  constructor(most: number) {
    this.#places = new Slots(most);
  }

  /**
   * Builds as soon as there is a place and nothing is being taken away; at once, to say so itself, where the signal is aborted. `giveUp`:
   * told when nobody waits for it any more and the engine has still to end it.
   */
  async run(project: string, signal: AbortSignal, build: (giveUp: () => void) => Promise<void>): Promise<void> {
    await this.#places.run(signal, () => this.import(project, signal, build));
  }

  /** The same for an image that is imported: it takes no place, as nothing is run for it. */
  async import(project: string, signal: AbortSignal, work: (giveUp: () => void) => Promise<void>): Promise<void> {
    await this.#removals.run(removals, async () => this.#count(project, 1), signal);
    const over = Promise.withResolvers<void>();
    try {
      await work(() => void this.#givenUp.add(over.promise));
    } finally {
      this.#count(project, -1);
      this.#givenUp.delete(over.promise);
      over.resolve();
    }
  }

  /** Takes away while no build begins. `isBuilding`: one of that project, or of any, is at work, so nothing of it may go. */
  async remove<T>(work: (isBuilding: (project?: string) => boolean) => Promise<T>): Promise<T> {
    return await this.#removals.run(removals, () => work((project) => this.isBuilding(project)));
  }

  /** True if one of that project, or of any, is at work now. */
  isBuilding(project?: string): boolean {
    return project === undefined ? this.#atWork.size > 0 : this.#atWork.has(project);
  }

  /** Resolves when those that are given up now are over. */
  async givenUp(signal: AbortSignal): Promise<void> {
    await unlessAborted(Promise.all(this.#givenUp), signal);
  }

  #count(project: string, by: number): void {
    const builds = (this.#atWork.get(project) ?? 0) + by;
    if (builds > 0) this.#atWork.set(project, builds);
    else this.#atWork.delete(project);
  }
}
