/** What an exit code says, in words. */
import { constants } from 'node:os';

const known: Readonly<Record<number, string>> = {
  0: 'it ended by itself, without an error',
  1: 'it ended with an error of its own',
  125: 'the engine could not run it',
  126: 'its command was found but cannot be executed',
  127: 'its command was not found in the image',
};
const bySignal = 128;

export function exitWords(code: number): string {
  const signal = Object.entries(constants.signals).find(([, number]) => number === code - bySignal)?.[0];
  return known[code] ?? (signal === undefined ? 'it ended with an error of its own' : `it was ended by ${signal}`);
}
