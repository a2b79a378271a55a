/** Checks what the agent has written down: whether it can be read and written, and whether it was ever lost. */
import { readdir } from 'node:fs/promises';
import { type Check, check, type Finding, fail, ok, warn } from './check.ts';
import { ifAbsent } from './if-there.ts';

export interface JournalCheck {
  readonly stateDir: string;
  /** What is wrong with the journal that is open, in words; null for nothing, undefined where no agent has it open. */
  readonly trouble: () => string | null | undefined;
}

/** Name of a journal that was set aside because it could not be read. */
const setAside = '.unreadable-';

export function journalCheck({ stateDir, trouble }: JournalCheck): Check {
  return check(
    'state.journal',
    'The agent takes no task that it cannot write down first.',
    async (): Promise<Finding> => {
      const found = trouble();
      if (found) {
        return fail(`The journal: ${found}`, `Free space at ${stateDir} and look at its disk (\`dmesg\`).`);
      }
      const names = (await readdir(stateDir).catch(ifAbsent)) ?? [];
      const damaged = names.filter((name) => name.includes(setAside)).toSorted();
      if (damaged.length > 0) {
        return warn(
          `A journal was damaged and set aside (${damaged.at(-1)}); the agent went on with a new one.`,
          `Look at the disk of ${stateDir} (\`dmesg\`), then remove the files ${stateDir}/agent.db${setAside}*.`,
        );
      }
      if (found === null) {
        return ok('The journal is sound, and can be written.');
      }
      return ok(names.includes('agent.db') ? 'No journal was ever set aside.' : 'There is no journal yet.');
    },
  );
}
