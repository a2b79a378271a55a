/** Gives memory back to the system that the garbage of a busy time still holds: V8 itself does so only when it is asked for more. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

type Collect = (options: { type: 'major'; execution: 'async'; flavor: 'last-resort' }) => Promise<void>;

/** Takes some 50 ms of processor time, which nothing else runs in. For when nothing is at work. */
export async function giveBackMemory(): Promise<void> {
  // The only way to it for a program that is not started with options of V8; what is made from then on does not have it.
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as Collect;
  setFlagsFromString('--no-expose-gc');
  await collect({ type: 'major', execution: 'async', flavor: 'last-resort' });
}

/** Gives back once after each busy time. */
export class GiveBackWhenQuiet {
  readonly #timer: NodeJS.Timeout;

  /** `giveBack` is called once for all that was busy, `quietMs` after the last of it. */
  constructor(quietMs: number, giveBack: () => Promise<void> = giveBackMemory) {
    this.#timer = setTimeout(() => void giveBack(), quietMs).unref();
  }

  /** Something has happened. */
  busy(): void {
    this.#timer.refresh();
  }

  close(): void {
    clearTimeout(this.#timer);
  }
}
