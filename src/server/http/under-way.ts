/** Answers that are under way, so that a server that stops lets them end: requests first, streams as fast as they are read. */
import type { ServerResponse } from 'node:http';

/** A stream has nothing more to say once it was told to end; this long its last words may take to be read. */
const lastWordsMs = 1000;

export class UnderWay {
  readonly #requests = new Map<ServerResponse, Promise<void>>();
  readonly #streams = new Map<ServerResponse, Promise<void>>();

  begin(answer: ServerResponse): void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#requests.set(answer, promise);
    answer.once('close', () => {
      this.#requests.delete(answer);
      this.#streams.delete(answer);
      resolve();
    });
  }

  /** What was begun goes on for as long as its client likes. */
  isStream(answer: ServerResponse): void {
    const ended = this.#requests.get(answer);
    if (!ended) return;
    this.#requests.delete(answer);
    this.#streams.set(answer, ended);
  }

  /** False where some of it still goes on after so long. */
  async over(patienceMs: number): Promise<boolean> {
    const late = AbortSignal.timeout(patienceMs);
    const isOver = (await emptied(this.#requests, late)) && !late.aborted;
    await emptied(this.#streams, AbortSignal.any([late, AbortSignal.timeout(lastWordsMs)]));
    return isOver;
  }
}

async function emptied(answers: ReadonlyMap<ServerResponse, Promise<void>>, late: AbortSignal): Promise<boolean> {
  const { promise: isLate, resolve } = Promise.withResolvers<void>();
  late.addEventListener('abort', () => resolve(), { once: true });
  while (answers.size > 0 && !late.aborted) await Promise.race([Promise.all(answers.values()), isLate]);
  return answers.size === 0;
}
