/** The journal on a disk that is really full: a small file system in memory. */
import { execFileSync } from 'node:child_process';
import { rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { Journal } from '../../src/agent/journal/journal.ts';
import { openJournal } from '../../src/agent/journal/open-journal.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { exitEvent, fenced, launchTask, now, progress, succeeded } from '../unit/agent/journal/samples.ts';

const disk = temporaryFolder('disk-full');
const filler = join(disk, 'filler');
let journal: Journal;
let count = 0;

beforeAll(() => execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m,mode=0700', 'gpuaas-test', disk]));
afterAll(() => execFileSync('umount', [disk]));

beforeEach(() => {
  count += 1;
  journal = openJournal({ stateDir: join(disk, `state-${count}`), now: () => now, reserveBytes: 1024 * 1024 });
});
afterEach(() => {
  journal.close();
  rmSync(filler, { force: true });
  rmSync(join(disk, `state-${count}`), { recursive: true });
});

it('refuses new tasks, still keeps what running ones have to say, and recovers (FAULTS 18)', () => {
  for (const number of [1, 2, 3]) {
    journal.accept(launchTask({ task_id: `running-${number}`, fencing: number }), fenced);
  }
  fillDisk();

  // The log of the database has room for some more.
  const accepted = acceptUntilFull();
  const refused = journal.unfinished().length;
  for (const number of [1, 2, 3]) {
    journal.enter(`running-${number}`, 'pulling');
    journal.finish(succeeded(`running-${number}`, { events: ['x'.repeat(50_000)] }));
    journal.append('event', exitEvent('instance-1', 'y'.repeat(50_000)));
  }
  for (let number = 0; number < 100; number += 1) {
    journal.append('task.progress', progress('z'.repeat(50_000)));
  }
  const whileFull = journal.depth();

  expect(refused).toBe(3 + accepted);
  expect(journal.task('running-3')?.result?.status).toBe('succeeded');
  expect(journal.waiting(0, 6).map(({ kind }) => kind)).toEqual([
    ...['task.result', 'event', 'task.result', 'event', 'task.result', 'event'],
  ]);
  expect(whileFull).toMatchObject({ full: true, thinned: expect.toSatisfy((thinned: number) => thinned > 0) });

  rmSync(filler);
  expect(journal.accept(launchTask({ task_id: 'afterwards', fencing: 9000 }), fenced).kind).toBe('new');
  expect(journal.depth().full).toBe(false);
});

it('opens on a full disk, with all that was in it', () => {
  journal.accept(launchTask(), fenced);
  journal.close();
  fillDisk();

  journal = openJournal({ stateDir: join(disk, `state-${count}`), now: () => now, reserveBytes: 1024 * 1024 });
  journal.finish(succeeded());

  expect(journal.rebuilt).toBeUndefined();
  expect(journal.waiting(0, 10)).toMatchObject([{ kind: 'task.result' }]);
});

function acceptUntilFull(): number {
  for (let number = 0; ; number += 1) {
    try {
      journal.accept(launchTask({ task_id: `late-${number}`, fencing: 100 + number }), fenced);
    } catch (error) {
      expect(error).toMatchObject({ code: 'disk.full' });
      expect(journal.task(`late-${number}`)).toBeUndefined();
      return number;
    }
  }
}

function fillDisk(): void {
  const { bavail, bsize } = statfsSync(disk);
  writeFileSync(filler, Buffer.alloc(bavail * bsize));
}
