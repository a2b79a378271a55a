/**
 * What is done when the tests of a file are over, wherever it was asked for: `afterAll` itself is not heard within a test,
 * nor at the top of a module that another file has loaded before.
 */
import { afterAll } from 'vitest';

const waiting: (() => unknown)[] = [];

/** Done last things first. */
export function atFileEnd(task: () => unknown): void {
  waiting.push(task);
}

/** For the set-up of every file. */
export function keepFileEnd(): void {
  afterAll(async () => {
    for (const task of waiting.splice(0).toReversed()) {
      await task();
    }
  });
}
