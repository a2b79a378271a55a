/** What the agent keeps, on a disk that is really full: a small file system in memory. */
import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Journal } from '../../src/agent/journal/journal.ts';
import { openJournal } from '../../src/agent/journal/open-journal.ts';
import type { OutputDestination } from '../../src/jobs/outputs/hand-over.ts';
import { openOutputs } from '../../src/jobs/outputs/keep-outputs.ts';
import { systemClock } from '../../src/kit/clock.ts';
import { createLog } from '../../src/kit/log.ts';
import type { LogEntry } from '../../src/runtime/engine.ts';
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

describe('what is kept of jobs', () => {
  const folder = () => join(disk, `state-${count}`, 'jobs');
  const left = (job: string) => readdirSync(join(folder(), job));
  const signal = () => AbortSignal.timeout(60_000);
  const open = (destination?: OutputDestination) =>
    openOutputs({
      ...{ engine: { getArchive: () => Promise.reject(new Error('not asked for')) }, folder: folder(), destination },
      ...{ clock: systemClock, log: createLog({ level: 'silent' }) },
      limits: { each: 2 ** 30, all: 2 ** 30, reserve: 0 },
    });

  it('is kept as a whole or not at all, and taken when there is room again', async () => {
    const outputs = open();
    const take = (job: string, lines: number) => outputs.takeLog(job, 'train', logOf(lines), signal());

    await expect(take('too-large', 200)).rejects.toMatchObject({ code: 'disk.full' });
    const { sha256, bytes } = await take('fits', 4);
    const before = left('fits');
    // Room for the bytes, and for no note of them.
    fillDisk(Math.ceil(bytes / 4096) * 4096);
    await expect(take('no-note', 4)).rejects.toMatchObject({ code: 'disk.full' });
    expect([left('too-large'), left('no-note')]).toEqual([[], []]);
    rmSync(filler);
    await take('no-note', 4);

    expect([left('fits'), left('no-note')]).toEqual([before, before]);
    expect(before).toContain(sha256);
  });

  it('gives its room back when it was handed over, also where that could not be noted before', async () => {
    const full = async () => {
      fillDisk();
      return { received: 0, complete: true, refused: null };
    };
    const outputs = open({ offer: full, send: full });

    await outputs.takeLog('job-1', 'train', logOf(4), signal());

    expect(await outputs.handedOver('job-1', 60_000, signal())).toBe(true);
    expect(left('job-1')).toEqual(['train.log.json']);
    rmSync(filler);
    expect(open().of('job-1')).toMatchObject([{ name: 'train.log' }]);
  });
});

async function* logOf(lines: number): AsyncGenerator<LogEntry> {
  const time = '2026-11-27T00:00:00.000Z';
  for (let number = 0; number < lines; number += 1) {
    yield { cursor: '', time, channel: 'stdout', data: Buffer.alloc(65_536, 'x'), partial: false };
  }
}

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

/** `but`: bytes that stay free. */
function fillDisk(but = 0): void {
  const { bavail, bsize } = statfsSync(disk);
  writeFileSync(filler, Buffer.alloc(bavail * bsize - but));
}
