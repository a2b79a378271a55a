/**
 * Archives that are read out of containers. While one is read its container is not started, for the gate and for the engine, which
 * does nothing else with it meanwhile; and a reader may take any time. So a start ends them, and who reads comes again.
 */
import { AgentError } from '../contract/failures.ts';

export class ArchiveReads {
  /** Those at work and those that wait, by what their clients call the container. */
  readonly #open = new Map<string, Set<AbortController>>();

  /** `read` has a signal that is aborted with the client's and by `end`; what it throws then is the reason of that. */
  async run(container: string, client: AbortSignal, read: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const ending = new AbortController();
    const open = this.#open.get(container) ?? new Set();
    this.#open.set(container, open.add(ending));
    const signal = AbortSignal.any([client, ending.signal]);
    try {
      await read(signal);
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    } finally {
      open.delete(ending);
      if (open.size === 0) this.#open.delete(container);
    }
  }

  /** Has every one of the container fail with `engine.unavailable`. */
  end(container: string): void {
    const reason = 'The container is being started; nothing is read out of it before that is over.';
    const error = new AgentError('engine.unavailable', { state: 'busy', reason });
    for (const ending of this.#open.get(container) ?? []) ending.abort(error);
  }
}
