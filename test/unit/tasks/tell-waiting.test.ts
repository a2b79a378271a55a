import { describe, expect, it, vi } from 'vitest';
import type { ReadinessCheck } from '../../../src/contract/workload-oci-launch.ts';
import { type NoteAttempt, tellWaiting } from '../../../src/tasks/tell-waiting.ts';
import { controlStack } from '../../../src/tasks/workload-compose-control.ts';
import { launchStack } from '../../../src/tasks/workload-compose-launch.ts';
import { controlOci } from '../../../src/tasks/workload-oci-control.ts';
import { launchOci } from '../../../src/tasks/workload-oci-launch.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { recordingEngine } from '../../support/recording-engine.ts';
import { aService, serviceContainer, stackBench, stackIdentity, stackParams } from '../../support/stack-bench.ts';
import { identity, launchedContainer, launchParams, taskContext } from '../../support/task-bench.ts';
import { waitOnGlobalTimers } from '../../support/waits.ts';

waitOnGlobalTimers();

const health: ReadinessCheck = { type: 'http', endpoint: 'api', path: '/health?key=s3cr3t', timeout_seconds: 1800 };
const alive: ReadinessCheck = { type: 'container_health', timeout_seconds: 3600 };

/** What is waited for until `end` is called, on a clock that stands still. */
function wait() {
  const clock = manualClock();
  const { context, events, logLines } = taskContext(recordingEngine().engine);
  const done = Promise.withResolvers<string>();
  const noted = Promise.withResolvers<NoteAttempt>();
  const working = tellWaiting(
    context,
    async (note) => {
      noted.resolve(note);
      return await done.promise;
    },
    clock,
  );
  const note: NoteAttempt = (...args) => void noted.promise.then((to) => to(...args));
  const end = async () => {
    done.resolve('ready');
    return await working;
  };
  return { clock, note, end, events, logLines, fail: (error: Error) => done.reject(error), working };
}

describe('a workload that is waited for', () => {
  it('tells what each failing check last saw, and how long of how long', async () => {
    const { clock, note, end, events } = wait();
    note({ check: health, attempt: 1, ready: false, answer: 'HTTP 500' }, 'vllm');
    note({ check: health, attempt: 2, ready: false, answer: 'ECONNREFUSED' }, 'vllm');
    note({ check: alive, attempt: 1, ready: false, answer: 'unhealthy' }, 'db');

    await clock.advance(30_000);
    await end();

    expect(events).toMatchObject([
      {
        type: 'readiness.waiting',
        message:
          'Not ready yet after 30 s of at most 30 min. vllm: http api /health: nothing listens there yet; db: health check: unhealthy.',
        values: { duration_ms: 30_000, timeout_seconds: 1800 },
      },
    ]);
    expect(JSON.stringify(events)).not.toContain('s3cr3t');
  });

  it('leaves out what has passed meanwhile', async () => {
    const { clock, note, end, events } = wait();
    note({ check: health, attempt: 1, ready: false, answer: 'HTTP 503' });
    note({ check: alive, attempt: 1, ready: false, answer: 'starting' });
    note({ check: health, attempt: 2, ready: true, answer: 'HTTP 200' });

    await clock.advance(30_000);
    await end();

    expect(events[0]?.message).toBe('Not ready yet after 30 s of at most 60 min. health check: starting.');
  });

  it('says so where no check has ended yet', async () => {
    const { clock, end, events } = wait();

    await clock.advance(30_000);
    await end();

    expect(events[0]?.message).toBe('Not ready yet after 30 s. No check has ended yet.');
  });

  it('tells it ever more seldom', async () => {
    const { clock, end, events } = wait();

    await clock.advance(2 * 3_600_000);
    await end();

    const at = events.map(({ values }) => Number(values['duration_ms']) / 1000);
    expect(at.slice(0, 5)).toEqual([30, 90, 150, 210, 270]);
    expect(Math.max(...at.map((each, index) => Math.round(each - (at[index - 1] ?? 0))))).toBe(300);
    expect(at.length).toBeLessThan(40);
  });

  it('says nothing where it is ready sooner, and nothing afterwards', async () => {
    const { clock, end, events } = wait();
    await clock.advance(29_999);

    await expect(end()).resolves.toBe('ready');
    await clock.advance(3_600_000);

    expect(events).toEqual([]);
    expect(clock.waiting()).toEqual([]);
  });

  it('fails as the work does', async () => {
    const { clock, fail, working } = wait();
    fail(new Error('it ended'));

    await expect(working).rejects.toThrow('it ended');
    expect(clock.waiting()).toEqual([]);
  });
});

describe('the tasks that wait for readiness', () => {
  const exec: ReadinessCheck = { type: 'exec', command: ['check', '--key', 's3cr3t'], timeout_seconds: 600 };
  const forever = (_name: string, signal: AbortSignal) =>
    new Promise<never>((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));

  /** An engine whose containers run, and whose commands say yes after 40 seconds. */
  function slow() {
    vi.useFakeTimers();
    const from = performance.now();
    return recordingEngine({
      wait: forever,
      exec: async () => ({ exitCode: performance.now() - from < 40_000 ? 1 : 0, tail: '', adopted: false }),
    });
  }

  /** Healthy after 40 seconds. */
  function slowStack() {
    vi.useFakeTimers();
    const from = performance.now();
    const healthcheck = {
      ...{ test: ['CMD', 'true'], interval: '30s', timeout: '5s', retries: 3, start_period: '600s' },
    } as NonNullable<ReturnType<typeof aService>['healthcheck']>;
    const params = stackParams({ document: { services: { db: aService({ healthcheck }), web: aService() } } });
    const bench = stackBench({
      engine: {
        inspect: async (name) => {
          const found = bench.containers.get(name);
          return found && { ...found, health: performance.now() - from < 40_000 ? 'starting' : 'healthy' };
        },
      },
    });
    return { bench, params };
  }

  async function told(work: Promise<unknown>, events: readonly { type: string; message: string }[]) {
    await vi.advanceTimersByTimeAsync(60_000);
    await work;
    vi.useRealTimers();
    return events.filter(({ type }) => type === 'readiness.waiting').map(({ message }) => message);
  }

  it('tell it of a container that is launched', async () => {
    const { context, events } = taskContext(slow().engine);

    const messages = await told(launchOci(launchParams({ readiness: [exec] }), context), events);

    expect(messages).toEqual(['Not ready yet after 30 s of at most 10 min. command check: exit code 1.']);
  });

  it('tell it of a container that is started again', async () => {
    const { engine, containers } = slow();
    const params = launchParams({ readiness: [exec] });
    const stopped = launchedContainer(params, {}, { status: 'exited', exitCode: 0 });
    containers.set(stopped.name, stopped);
    const { context, events } = taskContext(engine, { launchParams: params, fencing: 2 });

    const task = controlOci({ identity, action: 'start', grace_seconds: 5 }, context);

    expect(await told(task, events)).toEqual([
      'Not ready yet after 30 s of at most 10 min. command check: exit code 1.',
    ]);
  });

  it('tell it of a stack that is launched, with its service', async () => {
    const { bench, params } = slowStack();

    const messages = await told(launchStack(params, bench.context), bench.events);

    expect(messages).toEqual(['Not ready yet after 30 s of at most 12 min. db: health check: starting.']);
  });

  it('tell it of a stack that is started again', async () => {
    const { bench, params } = slowStack();
    for (const service of ['db', 'web']) {
      const stopped = serviceContainer(service, { status: 'exited', exitCode: 0 });
      bench.containers.set(stopped.name, stopped);
    }
    const { context, events } = bench.again({ stackParams: params, fencing: 2 });

    const task = controlStack({ identity: stackIdentity, action: 'start', grace_seconds: 5 }, context);

    expect(await told(task, events)).toEqual([
      'Not ready yet after 30 s of at most 12 min. db: health check: starting.',
    ]);
  });
});
