/**
 * Counts what clients have open at once, and refuses what is too much at once instead of letting it wait.
 *
 * Streams have a bound of their own, far below that of all calls: whoever opens streams without end can keep nobody,
 * himself included, from stopping or removing a container.
 */
import { AgentError } from '../contract/failures.ts';

const maxCalls = 384;
const maxStreams = 128;

export class OpenCalls {
  #calls = 0;
  #streams = 0;

  /** Runs `work` as one of the open calls; `engine.unavailable` with state `busy` if there are too many. */
  async run(isStream: boolean, work: () => Promise<void>): Promise<void> {
    if (this.#calls >= maxCalls) throw busy(`${maxCalls} calls`);
    if (isStream && this.#streams >= maxStreams) throw busy(`${maxStreams} streams`);
    const streams = isStream ? 1 : 0;
    this.#calls += 1;
    this.#streams += streams;
    try {
      await work();
    } finally {
      this.#calls -= 1;
      this.#streams -= streams;
    }
  }
}

function busy(what: string): AgentError {
  const reason = `The gate has ${what} open, as many as it takes at once.`;
  return new AgentError('engine.unavailable', { state: 'busy', reason });
}
