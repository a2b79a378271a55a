/** What a crash leaves behind: nothing that was in memory, where the process itself can see to that. */
import { writeFileSync } from 'node:fs';
import type { Log } from '../kit/log.ts';
import { exitCodes } from './exit-codes.ts';

/**
 * To be called first. Leaves memory out of a core dump, wherever the host sends it, and variables out of the reports of Node
 * that somebody has switched on.
 */
export function leaveNoMemoryBehind(): void {
  if (!process.report.excludeEnv) {
    process.report.excludeEnv = true;
    // Node looks at the flag alone (`--report-exclude-env`) when it has run out of memory.
    process.report.reportOnFatalError = false;
  }
  try {
    // Unlike RLIMIT_CORE it also holds where cores are piped to a program of the host.
    writeFileSync('/proc/self/coredump_filter', '0');
  } catch {
    // A host without core dumps, or one that hides /proc: then the limit of the service has to do.
  }
}

/**
 * Ends a daemon for what nobody has expected, told in one line of its log. Node would print all that an error carries: the
 * params of a task, the headers of a request.
 */
export function tellCrashes(log: Log): void {
  process.on('uncaughtException', (err) => {
    log.fatal({ err }, 'this is a bug, the process ends');
    process.exit(exitCodes.failed);
  });
}
