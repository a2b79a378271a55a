import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Journal } from '../../../../src/agent/journal/journal.ts';
import { type JournalOptions, openJournal } from '../../../../src/agent/journal/open-journal.ts';
import type { StepRecord } from '../../../../src/jobs/job-record.ts';
import { keptJob } from '../../../support/job-plans.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';
import { exitEvent, fenced, launchTask, now, progress, runningWorkload, succeeded, topology } from './samples.ts';

const folder = temporaryFolder('journal');
let stateDir: string;
let journal: Journal;
let count = 0;

function open(options: Partial<JournalOptions> = {}): Journal {
  journal = openJournal({ stateDir, now: () => now, reserveBytes: 65_536, ...options });
  return journal;
}

/** As after a kill: what was committed is there, and nothing else. */
function reopen(options: Partial<JournalOptions> = {}): Journal {
  journal.close();
  return open(options);
}

beforeEach(() => {
  count += 1;
  stateDir = join(folder, `state-${count}`);
  open();
});
afterEach(() => journal.close());

const kinds = () => journal.waiting(0, 100).map(({ kind }) => kind);

describe('a task', () => {
  it('is kept before it is answered, and unfinished until it has a result', () => {
    const acceptance = journal.accept(launchTask(), fenced);
    journal.enter('task-1', 'pulling');
    journal.enter('task-1', 'creating');
    reopen();

    expect(acceptance.kind).toBe('new');
    expect(journal.unfinished()).toEqual([
      {
        ...{ envelope: launchTask(), accepted_at: '2026-11-25T12:00:00.000Z', cancelled: false, result: null },
        phases: [
          { phase: 'pulling', at: '2026-11-25T12:00:00.000Z' },
          { phase: 'creating', at: '2026-11-25T12:00:00.000Z' },
        ],
      },
    ]);
  });

  it('that is delivered twice is the same task, also where the second delivery is a later attempt (FAULTS 5)', () => {
    journal.accept(launchTask(), fenced);
    const params = Object.fromEntries(Object.entries(launchTask().params as object).reverse());

    const again = journal.accept(
      launchTask({ attempt: 2, issued_at: '2026-11-25T12:05:00Z', not_after: '2026-11-25T12:20:00Z', params }),
      fenced,
    );

    expect(again.kind).toBe('at_work');
    expect(journal.unfinished()).toHaveLength(1);
  });

  it('that comes again after its result was acknowledged has the stored result sent again (FAULTS 5)', () => {
    journal.accept(launchTask(), fenced);
    journal.finish(succeeded());
    journal.acknowledge(1);
    reopen();

    const again = journal.accept(launchTask({ attempt: 2 }), { now: now + 86_400_000, fenced: true });

    expect(again).toMatchObject({ kind: 'ended', task: { result: succeeded() } });
    expect(journal.waiting(0, 10)).toMatchObject([
      { seq: 2, kind: 'task.result', body: { workload_id: 'instance-1', fencing: 1, result: succeeded() } },
    ]);
  });

  it('that comes again while its result is on its way does not have it sent twice', () => {
    journal.accept(launchTask(), fenced);
    journal.finish(succeeded());

    expect(journal.accept(launchTask(), fenced).kind).toBe('ended');
    expect(journal.waiting(0, 10)).toHaveLength(1);
  });

  it('has one result, the first', () => {
    journal.accept(launchTask(), fenced);
    journal.finish(succeeded());
    journal.finish({ ...succeeded(), status: 'failed' });
    journal.finish(succeeded('task-nobody-knows'));

    expect(journal.waiting(0, 10)).toHaveLength(1);
    expect(journal.task('task-1')?.result?.status).toBe('succeeded');
  });

  it.each<[string, Parameters<typeof launchTask>[0]]>([
    ['params', { params: {} }],
    ['type', { type: 'workload.oci_remove' }],
    ['workload', { workload_id: 'instance-2' }],
    ['fencing', { fencing: 2 }],
  ])('cannot take the id of another one: its %s differs', (_what, changes) => {
    journal.accept(launchTask(), fenced);

    expect(() => journal.accept(launchTask(changes), fenced)).toThrow(
      expect.objectContaining({ code: 'task.invalid', detail: expect.objectContaining({ errors: expect.anything() }) }),
    );
    expect(journal.unfinished()).toMatchObject([{ envelope: launchTask() }]);
  });

  it('past its not_after is rejected, and the control plane gets to know (FAULTS 10)', () => {
    const acceptance = journal.accept(launchTask(), { now: Date.parse('2026-11-25T12:10:00.001Z'), fenced: true });

    expect(acceptance).toMatchObject({
      kind: 'rejected',
      task: { result: { status: 'rejected', failure: { code: 'task.expired' } } },
    });
    expect(journal.unfinished()).toEqual([]);
    expect(journal.waiting(0, 10)).toMatchObject([{ kind: 'task.result', body: { result: { status: 'rejected' } } }]);
    expect(journal.fencing('instance-1')).toBe(0);
  });

  it('whose not_after is no time is rejected', () => {
    expect(journal.accept(launchTask({ not_after: '2026-13-41T00:00:00Z' }), fenced).kind).toBe('rejected');
  });

  it('that was asked to be given up is remembered as such, but not once it has ended', () => {
    journal.accept(launchTask(), fenced);

    expect(journal.cancel('task-1')?.cancelled).toBe(true);
    reopen();
    expect(journal.unfinished()).toMatchObject([{ cancelled: true }]);
    journal.finish({ ...succeeded(), status: 'cancelled' });
    expect(journal.cancel('task-1')).toBeUndefined();
    expect(journal.cancel('task-2')).toBeUndefined();
  });

  it('is found by its workload, newest first', () => {
    journal.accept(launchTask(), fenced);
    journal.accept(launchTask({ task_id: 'task-2', workload_id: 'instance-2' }), fenced);
    journal.accept(launchTask({ task_id: 'task-3', fencing: 2 }), fenced);

    const ids = (tasks: ReturnType<Journal['tasks']>) => tasks.map(({ envelope }) => envelope.task_id);
    expect(ids(journal.tasks({ workload_id: 'instance-1', limit: 10 }))).toEqual(['task-3', 'task-1']);
    expect(ids(journal.tasks({ limit: 2 }))).toEqual(['task-3', 'task-2']);
  });
});

describe('fencing', () => {
  it('rejects a launch whose removal came first (FAULTS 6)', () => {
    journal.accept(launchTask({ task_id: 'remove', type: 'workload.oci_remove', fencing: 2, params: {} }), fenced);
    reopen();

    const late = journal.accept(launchTask({ task_id: 'launch', fencing: 1 }), fenced);

    expect(late).toMatchObject({
      kind: 'rejected',
      task: { result: { failure: { code: 'task.stale', detail: { fencing: 1, seen: 2 } } } },
    });
    expect(journal.unfinished()).toMatchObject([{ envelope: { task_id: 'remove' } }]);
  });

  it('rejects another task with a number that was used', () => {
    journal.accept(launchTask(), fenced);

    expect(journal.accept(launchTask({ task_id: 'task-2' }), fenced).kind).toBe('rejected');
    expect(journal.accept(launchTask({ task_id: 'task-3', fencing: 2 }), fenced).kind).toBe('new');
    expect(journal.fencing('instance-1')).toBe(2);
  });

  it('is no matter of tasks that change nothing', () => {
    journal.accept(launchTask({ fencing: 7 }), fenced);

    const status = launchTask({ task_id: 'look', type: 'workload.oci_runtime_status', fencing: 0, params: {} });
    expect(journal.accept(status, { now, fenced: false }).kind).toBe('new');
    expect(journal.fencing('instance-1')).toBe(7);
  });

  it('is known from a seal where the journal was lost: that task may come again, an older one may not', () => {
    journal.raiseFencing('instance-1', 5, 'task-5');
    journal.raiseFencing('instance-1', 3, 'task-3');

    expect(journal.accept(launchTask({ task_id: 'task-4', fencing: 4 }), fenced).kind).toBe('rejected');
    expect(journal.accept(launchTask({ task_id: 'task-x', fencing: 5 }), fenced).kind).toBe('rejected');
    expect(journal.accept(launchTask({ task_id: 'task-5', fencing: 5 }), fenced).kind).toBe('new');
  });
});

describe('the outbox', () => {
  it('gives records in order until they are acknowledged, cumulatively, and never a number twice', () => {
    journal.append('event', exitEvent('instance-1', 'one'));
    journal.append('event', exitEvent('instance-1', 'two'));
    journal.append('event', exitEvent('instance-1', 'three'));
    journal.acknowledge(2);
    const left = journal.waiting(0, 10);
    journal.acknowledge(3);
    reopen();
    journal.append('event', exitEvent('instance-1', 'four'));

    expect(left).toMatchObject([{ seq: 3, at: '2026-11-25T12:00:00.000Z', body: { event: { message: 'three' } } }]);
    expect(journal.waiting(0, 10)).toMatchObject([{ seq: 4 }]);
    expect(journal.waiting(4, 10)).toEqual([]);
  });

  it('keeps only the newest topology', () => {
    journal.append('topology', topology('2026-11-25T12:00:00Z'));
    journal.append('event', exitEvent(null));
    journal.append('topology', topology('2026-11-25T12:00:05Z'));

    expect(journal.waiting(0, 10)).toMatchObject([
      { kind: 'event' },
      { seq: 3, kind: 'topology', body: { at: '2026-11-25T12:00:05Z' } },
    ]);
  });

  it('keeps only the newest report of each job', () => {
    for (const id of ['job-1', 'job-2']) journal.jobs.begin(keptJob('queued', 'pending', { job_id: id }));
    for (const [id, state] of [
      ['job-1', 'preparing'],
      ['job-2', 'preparing'],
      ['job-1', 'running'],
    ] as const) {
      journal.jobs.put(id, keptJob(state, 'pending').record);
    }

    expect(journal.waiting(0, 10)).toMatchObject([
      { seq: 2, body: { workload_id: 'job-2', report: { state: 'preparing' } } },
      { seq: 3, body: { workload_id: 'job-1', report: { state: 'running' } } },
    ]);
  });

  it('does not grow with the changes of a job while nobody takes them, and keeps their order among what else is said', () => {
    const said = { large: ['x'.repeat(60_000)] };
    const job = keptJob('running', 'running');
    journal.jobs.begin(job);
    journal.accept(launchTask(), fenced);
    let { record } = job;
    const change = (over: object) => {
      const before = record;
      record = { ...record, steps: { one: { ...record.steps['one'], ...over } as StepRecord } };
      journal.jobs.put(job.job_id, record, before);
    };
    change({ results: said });
    const size = () => statSync(join(stateDir, 'agent.db')).size + statSync(join(stateDir, 'agent.db-wal')).size;
    const before = size();
    for (let number = 1; number <= 1000; number += 1) {
      change({ attempts: number });
      if (number === 500) journal.append('event', exitEvent('job-1'));
    }
    change({ state: 'succeeded' });
    journal.finish(succeeded());

    expect(kinds()).toEqual(['event', 'job.report', 'task.result']);
    expect(journal.waiting(0, 10)[1]).toMatchObject({
      body: { report: { steps: [{ state: 'succeeded', attempts: 1000, results: said }] } },
    });
    expect(journal.depth().bytes).toBeLessThan(2000);
    // What SQLite lets its log grow to, and not 1000 times 60 kB.
    expect(size() - before).toBeLessThan(8 * 2 ** 20);
  });

  it('drops progress where too much waits, oldest first, and never a result or an event (FAULTS 4)', () => {
    reopen({ limits: { maxRecords: 20 } });
    journal.accept(launchTask(), fenced);
    journal.finish(succeeded());
    for (let number = 0; number < 100; number += 1) {
      journal.append('task.progress', progress(`layer ${number}`));
      if (number % 10 === 0) journal.append('event', exitEvent('instance-1'));
    }

    const { records, thinned } = journal.depth();
    expect(records).toBeLessThanOrEqual(20);
    expect(thinned).toBe(111 - records);
    expect(kinds().filter((kind) => kind === 'event')).toHaveLength(10);
    expect(kinds()[0]).toBe('task.result');
    expect(journal.waiting(0, 100).at(-2)).toMatchObject({ body: { event: { message: 'layer 98' } } });
  });

  it('drops progress where what waits is large', () => {
    reopen({ limits: { maxBytes: 10_000 } });
    for (let number = 0; number < 50; number += 1) {
      journal.append('task.progress', progress('x'.repeat(1000)));
    }

    expect(journal.depth().bytes).toBeLessThanOrEqual(10_000);
  });

  it('cuts a result that fits no frame, because it must arrive', () => {
    journal.accept(launchTask(), fenced);
    journal.accept(launchTask({ task_id: 'task-2', fencing: 2 }), fenced);
    const long = 'x'.repeat(1_100_000);

    journal.finish(succeeded('task-1', { state: 'running', events: [long] }));
    journal.finish(succeeded('task-2', { state: 'running', summary: long }));

    expect(journal.waiting(0, 10)).toMatchObject([
      { body: { result: { output: { state: 'running', events: [] } } } },
      { body: { result: { status: 'succeeded', output: null } } },
    ]);
  });

  it('refuses anything else that fits no frame', () => {
    expect(() => journal.append('event', exitEvent(null, 'x'.repeat(1_100_000)))).toThrow(RangeError);
    expect(journal.waiting(0, 10)).toEqual([]);
  });

  it('tells those who wait for records, until they stop listening', () => {
    const depths: number[] = [];
    const stop = journal.onAppend(() => depths.push(journal.depth().records));

    journal.append('event', exitEvent(null));
    journal.acknowledge(1);
    journal.enter('task-1', 'pulling');
    stop();
    journal.append('event', exitEvent(null));

    expect(depths).toEqual([1]);
  });

  it('keeps events for reading after they were acknowledged, the newest of them', () => {
    reopen({ limits: { keptEvents: 3 } });
    for (const name of ['instance-1', 'instance-1', 'instance-2', 'instance-1']) {
      journal.append('event', exitEvent(name));
    }
    journal.acknowledge(4);

    expect(journal.events({ limit: 10 }).map(({ body }) => body.workload_id)).toEqual([
      ...['instance-1', 'instance-2', 'instance-1'],
    ]);
    expect(journal.events({ workload_id: 'instance-2', limit: 10 })).toHaveLength(1);
  });
});

describe('what the control plane says it has', () => {
  it('need not be sent again', () => {
    journal.append('event', exitEvent(null));
    journal.append('event', exitEvent(null));
    journal.waiting(0, 10);

    journal.resume({ journal_id: journal.id, seq: 1 });

    expect(journal.waiting(0, 10)).toMatchObject([{ seq: 2 }]);
  });

  it('need not be sent again by the next life of the agent', () => {
    journal.resume({ journal_id: journal.id, seq: 0 });
    journal.append('event', exitEvent(null));
    journal.append('event', exitEvent(null));
    reopen();

    journal.resume({ journal_id: journal.id, seq: 1 });

    expect(journal.waiting(0, 10)).toMatchObject([{ seq: 2 }]);
  });

  it('is seen to be of an end that was lost also by a later life than the one that wrote as much since (FAULTS 19)', () => {
    journal.append('event', exitEvent('instance-1'));
    const { id } = journal;
    reopen();

    journal.resume({ journal_id: id, seq: 1 });

    expect(journal.id).not.toBe(id);
    expect(journal.waiting(0, 10)).toMatchObject([{ body: { workload_id: 'instance-1' } }, { seq: 2 }]);
  });

  it.each([
    ['nothing', () => null],
    ['nothing of this journal', () => ({ journal_id: 'another', seq: 40 })],
    ['the begin of it', () => ({ journal_id: journal.id, seq: 0 })],
  ])('is believed by later lives once it has said what it has, which may be %s', (_what, acked) => {
    journal.append('event', exitEvent('instance-1'));
    journal.resume(acked());
    journal.waiting(0, 10);
    const { id } = journal;
    reopen();

    journal.resume({ journal_id: id, seq: 1 });

    expect(journal.id).toBe(id);
    expect(journal.waiting(0, 10)).toEqual([]);
  });

  it('is seen to be of an end that was lost also where as much was written since (FAULTS 19)', () => {
    const { id } = journal;
    for (const name of ['instance-1', 'instance-2', 'instance-3']) {
      journal.append('event', exitEvent(name));
    }

    journal.resume({ journal_id: id, seq: 2 });

    expect(journal.id).not.toBe(id);
    expect(journal.waiting(0, 10)).toMatchObject([
      ...['instance-1', 'instance-2', 'instance-3'].map((workload_id) => ({ body: { workload_id } })),
      { body: { event: { type: 'journal.truncated' } } },
    ]);
  });

  it('is of no interest where it is of another journal, or nothing', () => {
    journal.append('event', exitEvent(null));

    journal.resume({ journal_id: 'another', seq: 100 });
    journal.resume(null);

    expect(journal.waiting(0, 10)).toHaveLength(1);
  });

  it('is told that this is another journal, so that it hands out again what that one had accepted', () => {
    journal.resume({ journal_id: 'another', seq: 100 });

    expect(journal.waiting(0, 10)).toMatchObject([{ seq: 1, body: { event: { type: 'journal.begun' } } }]);
  });

  it('makes a journal that lost its end go on under another name, with an event, and nothing dropped (FAULTS 19)', () => {
    journal.append('event', exitEvent('instance-1'));
    const { id } = journal;

    journal.resume({ journal_id: id, seq: 40 });

    expect(journal.id).not.toBe(id);
    expect(journal.waiting(0, 10)).toMatchObject([
      { body: { workload_id: 'instance-1' } },
      { body: { event: { type: 'journal.truncated' } } },
    ]);
    const renewed = journal.id;
    expect(reopen().id).toBe(renewed);
  });
});

describe('workloads', () => {
  it('are kept as they were said to be last, until they are forgotten', () => {
    journal.keepWorkload(runningWorkload());
    journal.keepWorkload(runningWorkload({ state: 'degraded', restarts: 1 }));
    journal.keepWorkload(runningWorkload({ workload_id: 'instance-2' }));
    reopen();

    expect(journal.workloads()).toEqual([
      runningWorkload({ state: 'degraded', restarts: 1 }),
      runningWorkload({ workload_id: 'instance-2' }),
    ]);
    journal.forgetWorkload('instance-1');
    expect(journal.workload('instance-1')).toBeUndefined();
    expect(journal.workload('instance-2')?.state).toBe('running');
  });

  it('are kept together with what is said about them, or not at all', () => {
    journal.keepWorkload(runningWorkload({ state: 'failed' }), exitEvent('instance-1'));

    const tooLarge = exitEvent('instance-1', 'x'.repeat(1_100_000));
    expect(() => journal.keepWorkload(runningWorkload(), tooLarge)).toThrow(RangeError);
    expect(journal.workload('instance-1')?.state).toBe('failed');
    expect(kinds()).toEqual(['event']);
  });

  it('are kept together with the result that made them, the first one', () => {
    const stopped = runningWorkload({ desired: 'stopped', state: 'stopped' });
    journal.accept(launchTask(), fenced);
    journal.accept(launchTask({ task_id: 'remove', fencing: 2 }), fenced);

    journal.finish(succeeded(), { workload_id: 'instance-1', keep: runningWorkload() });
    journal.finish(succeeded(), { workload_id: 'instance-1', keep: stopped });
    const launched = journal.workload('instance-1');
    journal.finish(succeeded('remove'), { workload_id: 'instance-1', keep: null });

    expect(launched).toEqual(runningWorkload());
    expect(journal.workloads()).toEqual([]);
  });
});

describe('pruning', () => {
  const afterwards = Date.parse('2026-11-26T00:00:00Z');
  const finishMany = (tasks: number) => {
    for (let number = 1; number <= tasks; number += 1) {
      journal.accept(launchTask({ task_id: `task-${number}`, fencing: number }), fenced);
      journal.enter(`task-${number}`, 'pulling');
      journal.finish(succeeded(`task-${number}`));
    }
  };

  it('forgets the oldest of the ended tasks that nobody can deliver again', () => {
    reopen({ limits: { keptTasks: 3 } });
    finishMany(5);
    journal.acknowledge(5);

    journal.prune(afterwards);

    expect(journal.tasks({ limit: 10 })).toHaveLength(3);
    expect(journal.task('task-2')).toBeUndefined();
    expect(journal.task('task-3')?.phases).toHaveLength(1);
    expect(journal.fencing('instance-1')).toBe(5);
  });

  it('keeps what may be delivered again, what is at work, and what is not acknowledged', () => {
    reopen({ limits: { keptTasks: 0 } });
    finishMany(3);
    journal.acknowledge(2);
    journal.accept(launchTask({ task_id: 'at-work', fencing: 9 }), fenced);

    journal.prune(now);
    const before = journal.tasks({ limit: 10 });
    journal.prune(afterwards);

    expect(before).toHaveLength(4);
    expect(journal.tasks({ limit: 10 }).map(({ envelope }) => envelope.task_id)).toEqual(['at-work', 'task-3']);
  });
});

describe('the file', () => {
  const file = () => join(stateDir, 'agent.db');
  const aside = () => readdirSync(stateDir).filter((name) => name.includes('unreadable'));

  it('is for its owner only', () => {
    journal.append('event', exitEvent(null));

    for (const name of readdirSync(stateDir)) {
      expect([name, statSync(join(stateDir, name)).mode & 0o777]).toEqual([name, 0o600]);
    }
    expect(statSync(stateDir).mode & 0o777).toBe(0o700);
  });

  it('is open in one process only', () => {
    expect(() => openJournal({ stateDir })).toThrow(expect.objectContaining({ code: 'agent.busy' }));
  });

  it('keeps its name as long as it is whole', () => {
    const { id } = journal;

    expect(reopen().id).toBe(id);
    expect(journal.rebuilt).toBeUndefined();
  });

  it.each<[string, () => void]>([
    ['is overwritten', () => writeFileSync(file(), Buffer.alloc(40_000, 'garbage'))],
    ['is cut in the middle', () => truncateSync(file(), 6000)],
    ['is emptied', () => truncateSync(file(), 0)],
    ['has a page of zeros', () => overwrite(file(), 4096, Buffer.alloc(4096))],
    ['has pages full of noise', () => overwrite(file(), 8192, Buffer.alloc(12_288, 0xa5))],
  ])('that %s is set aside and begun anew, and the control plane is told (FAULTS 19)', (_what, damage) => {
    for (let number = 1; number < 20; number += 1) {
      journal.accept(launchTask({ task_id: `task-${number}`, fencing: number }), fenced);
    }
    const { id } = journal;
    journal.close();
    damage();

    open();

    expect(journal.id).not.toBe(id);
    expect(journal.unfinished()).toEqual([]);
    expect(journal.rebuilt).toMatchObject({
      reason: expect.stringMatching(/./),
      setAside: join(stateDir, aside()[0] ?? ''),
    });
    expect(journal.waiting(0, 10)).toMatchObject([
      { kind: 'event', body: { source: 'agent', event: { type: 'journal.rebuilt' } } },
    ]);
    expect(reopen().rebuilt).toBeUndefined();
  });

  it('that is set aside again and again does not fill the disk', () => {
    for (let round = 0; round < 6; round += 1) {
      journal.close();
      writeFileSync(file(), `garbage ${round} `.repeat(1000));
      // Names have milliseconds; two of the same one would be the same file.
      writeFileSync(`${file()}.unreadable-2026-11-2${round}T000000000Z`, 'older');
      open();
    }

    expect(aside()).toHaveLength(3);
    expect(readFileSync(join(stateDir, aside().at(-1) ?? ''), 'utf8')).toContain('garbage 5');
  });

  it('fails to open where it cannot be a file, and leaves it there', () => {
    journal.close();
    rmSync(file());
    mkdirSync(file());

    expect(() => openJournal({ stateDir })).toThrow(expect.objectContaining({ code: 'EISDIR' }));

    rmSync(file(), { recursive: true });
    open();
  });
});

function overwrite(file: string, offset: number, bytes: Buffer): void {
  const content = readFileSync(file);
  bytes.copy(content, offset);
  writeFileSync(file, content);
}
