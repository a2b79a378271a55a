/** Runs of Compose on this machine. */
import { readdirSync, readFileSync } from 'node:fs';

/** Process ids of those that have to do with an instance. */
export function composeRuns(instance: string): number[] {
  return readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid) && isRun(pid, instance))
    .map(Number);
}

function isRun(pid: string, instance: string): boolean {
  try {
    const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    return /^[^\0]*\/docker-compose\0/.test(line) && line.includes(instance);
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
}
