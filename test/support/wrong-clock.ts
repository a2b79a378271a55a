/**
 * The clock of a process, set by a test while the process runs, as an operator or NTP sets that of a host (FAULTS 20).
 * The monotonic clock stays true.
 */
import { randomUUID } from 'node:crypto';
import { existsSync, globSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ensurePackages } from '../../bootstrap/dev/packages.ts';

export interface WrongClock {
  /** For the environment of the process. */
  readonly environment: NodeJS.ProcessEnv;
  /** Sets it to this much before or after the true time: `+1d`, `-1d`, `+0`. In force at once. */
  set(offset: string): void;
}

/** A clock that is right until it is set. Its file lies in `folder`. */
export async function wrongClock(folder: string): Promise<WrongClock> {
  await ensurePackages(['libfaketime']);
  const [library] = globSync('/usr/lib/*/faketime/libfaketimeMT.so.1');
  if (library === undefined) throw new Error('libfaketime is installed, but its library is not where it should be');
  const file = join(folder, `clock-${randomUUID()}`);
  const set = (offset: string) => {
    // Never seen half-written: it is read with every look at the clock.
    writeFileSync(`${file}.new`, `${offset}\n`);
    renameSync(`${file}.new`, file);
  };
  set('+0');
  return {
    set,
    environment: {
      ...{ LD_PRELOAD: library, FAKETIME_TIMESTAMP_FILE: file, FAKETIME_NO_CACHE: '1' },
      ...{ DONT_FAKE_MONOTONIC: '1', NO_FAKE_STAT: '1' },
    },
  };
}

/** Takes away what libfaketime leaves of a process that was killed. To be called when the processes have ended. */
export function sweepClocks(): void {
  for (const file of globSync('/dev/shm/{faketime_shm,sem.faketime_sem}_*')) {
    const pid = /_(\d+)$/.exec(file)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) rmSync(file, { force: true });
  }
}
