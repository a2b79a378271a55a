import { afterEach, describe, expect, it } from 'vitest';
import type { RunOptions } from '../../../src/agent/dispatch.ts';
import type { Journal } from '../../../src/agent/journal/journal.ts';
import { openJournal } from '../../../src/agent/journal/open-journal.ts';
import { TaskLoop } from '../../../src/agent/task-loop.ts';
import { AgentError } from '../../../src/contract/failures.ts';
import type { RecordBody } from '../../../src/contract/records.ts';
import type { TaskEnvelope, TaskResult } from '../../../src/contract/task-envelope.ts';
import { createLog } from '../../../src/kit/log.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { launchParams } from '../../support/task-bench.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const folder = temporaryFolder('task-loop');
const open: Journal[] = [];
afterEach(() => {
  for (const journal of open.splice(0)) {
    journal.close();
  }
});

interface Run {
  readonly envelope: TaskEnvelope;
  readonly options: RunOptions;
  end(over?: Partial<TaskResult>): void;
}

/** A loop on a real journal, with tasks that end when the test says so. */
function bench(stateDir = `${folder}/${crypto.randomUUID()}`) {
  const clock = manualClock();
  const journal = openJournal({ stateDir });
  open.push(journal);
  const runs: Run[] = [];
  const calls: string[] = [];
  const credits: number[] = [];
  const released: string[] = [];
  const loop: TaskLoop = new TaskLoop({
    ...{ journal, clock, parallel: 2, serverNow: () => Date.now(), admit: () => undefined },
    log: createLog({ destination: { write: () => undefined } }),
    onReleased: () => void released.push('released'),
    onEnded: () => void credits.push(loop.credits),
    supervisor: {
      standAside: async (id) => {
        calls.push(`aside ${id}`);
        return () => void calls.push(`resume ${id}`);
      },
      notePhase: (id, phase) => void calls.push(`${id} ${phase}`),
    },
    dispatcher: {
      run: async (value, options = {}) => {
        const envelope = value as TaskEnvelope;
        const { promise, resolve } = Promise.withResolvers<TaskResult>();
        const end = (over: Partial<TaskResult> = {}) => resolve(resultOf(envelope.task_id, over));
        options.cancel?.addEventListener('abort', () => end({ status: 'cancelled' }), { once: true });
        runs.push({ envelope, options, end });
        if (options.cancel?.aborted) {
          end({ status: 'cancelled' });
        }
        return await promise;
      },
    },
  });
  return { loop, journal, runs, calls, credits, released, clock, stateDir };
}

function resultOf(task_id: string, over: Partial<TaskResult> = {}): TaskResult {
  const time = new Date().toISOString();
  const output = { state: 'running', endpoints: [] };
  return { task_id, status: 'succeeded', output, failure: null, started_at: time, finished_at: time, ...over };
}

function envelope(over: Partial<TaskEnvelope> = {}): TaskEnvelope {
  return {
    ...{ task_id: 'task-1', type: 'workload.oci_launch', schema_version: 1, node_id: 'node-1', attempt: 1, fencing: 1 },
    ...{ allocation_id: 'alloc-1', workload_id: 'notebook-1', deadline_seconds: 60, trace_id: 'trace-1' },
    ...{ issued_at: new Date().toISOString(), not_after: new Date(Date.now() + 3_600_000).toISOString() },
    params: launchParams(),
    ...over,
  };
}

const results = (journal: Journal) =>
  journal
    .waiting(0, 100)
    .filter(({ kind }) => kind === 'task.result')
    .map(({ body }) => body as { result: TaskResult });

describe('a task that is delivered', () => {
  it('is on disk before it begins, and its result with what it made of the workload', async () => {
    const { loop, journal, runs, calls } = bench();

    const answer = loop.take(envelope());

    expect(answer).toEqual({ accepted: true });
    expect(journal.unfinished().map(({ envelope: { task_id } }) => task_id)).toEqual(['task-1']);
    await expect.poll(() => runs.length).toBe(1);
    runs[0]?.end();
    await expect.poll(() => loop.size).toBe(0);
    expect(results(journal)).toMatchObject([{ result: { task_id: 'task-1', status: 'succeeded' } }]);
    expect(journal.workload('notebook-1')).toMatchObject({ desired: 'running', state: 'running', fencing: 1 });
    expect(calls).toEqual(['aside notebook-1', 'resume notebook-1']);
  });

  it('twice is carried out once, at work or ended (FAULTS 5)', async () => {
    const { loop, journal, runs } = bench();
    loop.take(envelope());
    await expect.poll(() => runs.length).toBe(1);

    const atWork = loop.take(envelope({ attempt: 2 }));
    runs[0]?.end();
    await expect.poll(() => loop.size).toBe(0);
    const ended = loop.take(envelope({ attempt: 3 }));

    expect([atWork, ended]).toEqual([{ accepted: true }, { accepted: true }]);
    expect(runs).toHaveLength(1);
    expect(results(journal)).toHaveLength(1);
  });

  it('twice gives the stored result again once the first was acknowledged (FAULTS 5)', async () => {
    const { loop, journal, runs } = bench();
    loop.take(envelope());
    await expect.poll(() => runs.length).toBe(1);
    runs[0]?.end();
    await expect.poll(() => loop.size).toBe(0);
    journal.acknowledge(journal.waiting(0, 100).at(-1)?.seq ?? 0);

    loop.take(envelope({ attempt: 2 }));

    expect(runs).toHaveLength(1);
    expect(results(journal)).toMatchObject([{ result: { task_id: 'task-1', status: 'succeeded' } }]);
  });

  it('after a newer one of its workload is stale, with a result and without having begun (FAULTS 6)', async () => {
    const { loop, journal, runs } = bench();
    loop.take(envelope({ task_id: 'task-2', type: 'workload.oci_remove', fencing: 2 }));
    await expect.poll(() => runs.length).toBe(1);
    runs[0]?.end();
    await expect.poll(() => loop.size).toBe(0);

    const answer = loop.take(envelope({ task_id: 'task-1', fencing: 1 }));

    expect(answer).toEqual({ accepted: true });
    expect(runs).toHaveLength(1);
    expect(results(journal)[1]?.result).toMatchObject({ status: 'rejected', failure: { code: 'task.stale' } });
  });

  it('under the id of another task is refused, and that one is left alone', async () => {
    const { loop, journal } = bench();
    loop.take(envelope());

    const answer = loop.take(envelope({ fencing: 7 }));

    expect(answer).toMatchObject({ accepted: false, failure: { code: 'task.invalid' } });
    expect(journal.unfinished()).toHaveLength(1);
  });

  it('for which the journal has no room is refused, and nothing of it is kept (FAULTS 18)', async () => {
    const { loop, journal, runs } = bench();
    const accept = () => {
      throw new AgentError('disk.full');
    };
    Object.defineProperty(journal, 'accept', { value: accept });

    expect(loop.take(envelope())).toMatchObject({ accepted: false, failure: { code: 'disk.full', retryable: true } });
    expect(runs).toEqual([]);
  });

  it('that changes nothing does not put supervision aside', async () => {
    const { loop, runs, calls } = bench();

    loop.take(envelope({ type: 'workload.oci_runtime_status', params: {} }));
    await expect.poll(() => runs.length).toBe(1);
    runs[0]?.end();
    await expect.poll(() => loop.size).toBe(0);

    expect(calls).toEqual([]);
  });
});

describe('what happens during a task', () => {
  it('is in the journal and in the outbox, with its phases', async () => {
    const { loop, journal, runs, calls } = bench();
    loop.take(envelope());
    await expect.poll(() => runs.length).toBe(1);
    const event = { time: '2026-11-25T12:00:00Z', message: '', values: {} };

    runs[0]?.options.onEvent?.({ ...event, type: 'phase.entered', phase: 'pulling' });
    runs[0]?.options.onEvent?.({ ...event, type: 'engine.away', phase: 'pulling' });

    expect(journal.task('task-1')?.phases).toMatchObject([{ phase: 'pulling' }]);
    expect(journal.waiting(0, 10)).toMatchObject([
      { kind: 'task.progress', body: { task_id: 'task-1', event: { type: 'phase.entered' } } },
      { kind: 'task.progress', body: { event: { type: 'engine.away' } } },
    ]);
    expect(calls).toContain('notebook-1 pulling');
  });

  it('of a pull is reported once a second', async () => {
    const { loop, journal, runs, clock } = bench();
    loop.take(envelope());
    await expect.poll(() => runs.length).toBe(1);
    const event = { time: '', message: '', values: {}, type: 'image.progress', phase: 'pulling' } as const;

    for (let step = 0; step < 30; step += 1) {
      runs[0]?.options.onEvent?.(event);
      await clock.advance(100);
    }

    expect(journal.waiting(0, 100)).toHaveLength(4);
  });

  it('that lasts is told once the second is over, of each image as it is then, and nothing waits after that', async () => {
    const { loop, runs, clock, told } = await pulling();
    const event = runs[0]?.options.onEvent;
    for (const message of ['main: step 1 of 6', 'main: step 5 of 6', 'main: step 6 of 6']) event?.(progress(message));
    event?.(progress('base: 1 of 2 layers', 'base'));
    const atOnce = told();

    await clock.advance(1000);
    const after = told();
    await clock.advance(60_000);

    expect(atOnce).toEqual(['main: step 1 of 6']);
    expect(after).toEqual(['main: step 1 of 6', 'main: step 6 of 6']);
    expect(told()).toEqual([...after, 'base: 1 of 2 layers']);
    expect(clock.waiting()).toEqual([]);
    expect(loop.size).toBe(1);
  });

  it.each(['the next phase', 'the end of the task', 'the end of the process'])(
    'is not told after %s',
    async (which) => {
      const { loop, runs, clock, told } = await pulling();
      const [run] = runs;
      run?.options.onEvent?.(progress('main: step 1 of 6'));
      run?.options.onEvent?.(progress('main: step 6 of 6'));

      if (which === 'the next phase') {
        const phase = { time: '', message: 'creating', values: {}, type: 'phase.entered', phase: 'creating' } as const;
        run?.options.onEvent?.(phase);
      } else if (which === 'the end of the task') {
        run?.end();
        await expect.poll(() => loop.size).toBe(0);
      } else {
        const closing = loop.close(10);
        await clock.advance(10);
        await closing;
      }
      const waits = clock.waiting();
      await clock.advance(5000);

      expect(told()).not.toContain('main: step 6 of 6');
      expect(waits).toEqual(which === 'the next phase' ? [1000] : []);
    },
  );

  async function pulling() {
    const made = bench();
    made.loop.take(envelope());
    await expect.poll(() => made.runs.length).toBe(1);
    const told = () =>
      made.journal
        .waiting(0, 100)
        .filter(({ kind }) => kind === 'task.progress')
        .map(({ body }) => (body as RecordBody<'task.progress'>).event)
        .flatMap(({ type, message }) => (type === 'image.progress' ? [message] : []));
    return { ...made, told };
  }

  function progress(message: string, image = 'main') {
    return { time: '', message, values: { image }, type: 'image.progress', phase: 'pulling' } as const;
  }
});

describe('credits (FAULTS 33)', () => {
  it('fall with each task that is taken, to 0, and come back as tasks end', async () => {
    const { loop, runs, credits } = bench();
    const before = loop.credits;

    let taken = 0;
    while (loop.credits > 0) {
      taken += 1;
      loop.take(envelope({ task_id: `task-${taken}`, workload_id: `w-${taken}` }));
    }

    expect([before, taken]).toEqual([10, 10]);
    await expect.poll(() => runs.length).toBe(10);
    runs[0]?.end();
    runs[1]?.end();
    await expect.poll(() => credits.at(-1)).toBe(2);
  });
});

describe('a job', () => {
  const job = (number: number) => envelope({ task_id: `job-${number}`, workload_id: `j-${number}`, type: jobType });
  const jobType = 'workload.job_launch';

  it('takes no credit, however many there are', async () => {
    const { loop, runs } = bench();
    const before = loop.credits;

    for (let number = 0; number < 20; number += 1) loop.take(job(number));

    await expect.poll(() => runs.length).toBe(20);
    expect(loop.credits).toBe(before);
  });

  it('is waited for by nobody who ends this process, and left to the next', async () => {
    const { loop, runs, journal, released } = bench();
    loop.take(job(1));
    await expect.poll(() => runs.length).toBe(1);

    await loop.close(60_000);
    runs[0]?.end();

    expect(released).toEqual(['released']);
    expect(journal.unfinished()).toMatchObject([{ envelope: { task_id: 'job-1' } }]);
  });
});

describe('a cancel', () => {
  it('reaches the task that is at work', async () => {
    const { loop, journal, runs } = bench();
    loop.take(envelope());
    await expect.poll(() => runs.length).toBe(1);

    loop.cancel('task-1');
    await expect.poll(() => loop.size).toBe(0);

    expect(results(journal)).toMatchObject([{ result: { status: 'cancelled' } }]);
  });

  it('of an unknown or ended task changes nothing', async () => {
    const { loop, journal, runs } = bench();
    loop.take(envelope());
    await expect.poll(() => runs.length).toBe(1);
    runs[0]?.end();
    await expect.poll(() => loop.size).toBe(0);

    loop.cancel('task-1');
    loop.cancel('task-9');

    expect(results(journal)).toHaveLength(1);
  });
});

describe('the next life of the agent', () => {
  it('says so of a task that an earlier one had begun', async () => {
    const first = bench();
    first.loop.take(envelope());
    await expect.poll(() => first.runs.length).toBe(1);
    first.journal.enter('task-1', 'pulling');
    first.journal.close();
    open.splice(0);

    const second = bench(first.stateDir);
    second.loop.recover();

    await expect.poll(() => second.runs[0]?.options.again).toBe(true);
    second.runs[0]?.end();
    await expect.poll(() => second.journal.unfinished()).toEqual([]);
  });

  it('runs again what was accepted and has no result, and does not ask whether there is room for it', async () => {
    const first = bench();
    first.loop.take(envelope());
    first.loop.take(envelope({ task_id: 'task-2', workload_id: 'w-2' }));
    await expect.poll(() => first.runs.length).toBe(2);
    first.runs[1]?.end();
    await expect.poll(() => first.loop.size).toBe(1);
    first.journal.close();
    open.splice(0);

    const second = bench(first.stateDir);
    const found = second.loop.recover();
    await expect.poll(() => second.runs.length).toBe(1);

    expect(found).toBe(1);
    expect(second.runs[0]?.envelope.task_id).toBe('task-1');
    expect(second.runs[0]?.options.again).toBe(false);
    expect(second.runs[0]?.options.admit).toBeUndefined();
    second.runs[0]?.end();
    await expect.poll(() => second.journal.unfinished()).toEqual([]);
  });

  it('cancels what was to be cancelled', async () => {
    const first = bench();
    first.loop.take(envelope());
    first.journal.cancel('task-1');
    first.journal.close();
    open.splice(0);

    const second = bench(first.stateDir);
    second.loop.recover();
    await expect.poll(() => second.loop.size).toBe(0);

    expect(results(second.journal)).toMatchObject([{ result: { status: 'cancelled' } }]);
  });

  it.each(['before the agent was killed', 'after it was started again'])(
    'lets a task that had begun, and is cancelled %s, begin again first: only then can it take away what it made',
    async (when) => {
      const first = bench();
      first.loop.take(envelope());
      first.journal.enter('task-1', 'pulling');
      if (when.startsWith('before')) {
        first.journal.cancel('task-1');
      }
      first.journal.close();
      open.splice(0);

      const second = bench(first.stateDir);
      second.loop.recover();
      await expect.poll(() => second.runs.length).toBe(1);
      second.loop.cancel('task-1');
      const before = second.runs[0]?.options.cancel?.aborted;
      const event = {
        time: new Date().toISOString(),
        type: 'phase.entered',
        phase: 'pulling',
        message: '',
        values: {},
      };
      second.runs[0]?.options.onEvent?.({ ...event, phase: 'pulling' });
      await expect.poll(() => second.loop.size).toBe(0);

      expect(before).toBe(false);
      expect(results(second.journal)).toMatchObject([{ result: { status: 'cancelled' } }]);
    },
  );
});

describe('closing', () => {
  it('takes nothing more, waits a little, and cancels nothing', async () => {
    const { loop, journal, runs, clock } = bench();
    loop.take(envelope());
    await expect.poll(() => runs.length).toBe(1);

    const closing = loop.close(2000);
    const late = loop.take(envelope({ task_id: 'task-2', workload_id: 'w-2' }));
    await clock.advance(2000);
    await closing;

    expect(late).toMatchObject({ accepted: false, failure: { code: 'agent.draining', retryable: true } });
    expect(runs[0]?.options.cancel?.aborted).toBe(false);
    expect(journal.unfinished()).toHaveLength(1);
  });

  it('does not wait longer than what is at work needs', async () => {
    const { loop, runs } = bench();
    loop.take(envelope());
    await expect.poll(() => runs.length).toBe(1);

    const closing = loop.close(3_600_000);
    runs[0]?.end();

    await expect(closing).resolves.toBeUndefined();
  });
});

describe('a hold', () => {
  it('takes nothing new, and answers for what it has, until it is over', async () => {
    const { loop, runs, journal } = bench();
    loop.take(envelope());

    const release = loop.hold('It is updated.');

    expect(loop.credits).toBe(0);
    expect(loop.take(envelope({ task_id: 'task-2', fencing: 2 }))).toMatchObject({
      ...{ accepted: false, failure: { code: 'agent.draining', retryable: true } },
    });
    expect(journal.task('task-2')).toBeUndefined();
    expect(loop.take(envelope())).toEqual({ accepted: true });
    release();
    expect(loop.take(envelope({ task_id: 'task-3', fencing: 3 }))).toEqual({ accepted: true });
    for (const run of runs) run.end();
  });

  it('waits for the others at work, not for the update that wants it', async () => {
    const { loop, runs, clock } = bench();
    const update = { task_id: 'u', type: 'agent.self_update', workload_id: 'host', params: { version: '0.2.0' } };
    loop.take(envelope());
    loop.take(envelope(update));
    await expect.poll(() => runs.length).toBe(2);

    let over = false;
    void loop.othersEnd(120_000).then(() => {
      over = true;
    });
    await clock.advance(1000);
    expect(over).toBe(false);
    runs.find((run) => run.envelope.task_id === 'task-1')?.end();

    await expect.poll(() => over).toBe(true);
    expect(loop.size).toBe(1);
    for (const run of runs) run.end();
  });

  it('does not wait longer than it may', async () => {
    const { loop, runs, clock } = bench();
    loop.take(envelope());

    const over = loop.othersEnd(120_000);
    await clock.advance(120_000);

    await over;
    for (const run of runs) run.end();
  });
});
