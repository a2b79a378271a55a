import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Dispatcher, type DispatcherOptions } from '../../../src/agent/dispatch.ts';
import { openHostJobs } from '../../../src/agent/host-jobs.ts';
import { AgentError, type FailureCode } from '../../../src/contract/failures.ts';
import { type TaskEnvelope, TaskResult } from '../../../src/contract/task-envelope.ts';
import type { TaskType } from '../../../src/contract/tasks.ts';
import { judge } from '../../../src/contract/validate.ts';
import type { WorkloadEvent, WorkloadOutput } from '../../../src/contract/workload-output.ts';
import type { ContainerEngine } from '../../../src/runtime/engine.ts';
import { FailedTask } from '../../../src/tasks/failed-task.ts';
import { taskHandlers } from '../../../src/tasks/index.ts';
import type { TaskContext } from '../../../src/tasks/task-context.ts';
import { workloadOutput } from '../../../src/tasks/workload-report.ts';
import { cardLedger } from '../../support/gpus.ts';
import { type RecordingEngine, recordingEngine } from '../../support/recording-engine.ts';
import { recordingStacks } from '../../support/recording-stacks.ts';
import { hostPolicy, identity, launchParams } from '../../support/task-bench.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { standIn, testFolder } from '../host/stand-ins.ts';

type AnyHandler = (params: unknown, context: TaskContext) => Promise<unknown>;

/** A handler of one test, in place of the real one. */
const inject = (type: TaskType, handler: AnyHandler) =>
  void vi.spyOn(taskHandlers, type).mockImplementation(handler as never);
afterEach(() => void vi.restoreAllMocks());

const folder = temporaryFolder('dispatch');
const now = Date.parse('2026-11-23T10:30:00Z');
const canary = 'c4nary "quoted" 5ecret';
const sealed = 'eyJhbGciOiJFQ0RILUVTIn0..aXY.dGV4dA.dGFn';
let hosts = 0;

describe('rejected, with no handler called and the engine untouched', () => {
  const foreign = { ...launchParams(), identity: { ...identity, app_instance_id: 'someone-elses' } };
  const cases: [string, unknown, FailureCode, string?][] = [
    ['nothing', null, 'task.invalid', ''],
    ['a text', 'workload.oci_launch', 'task.invalid', ''],
    ['a list', [], 'task.invalid', ''],
    ['an empty object', {}, 'task.invalid', '/task_id'],
    ['an unknown key', { ...launch(), privileged: true }, 'task.invalid', '/privileged'],
    ['an id that climbs', launch({ task_id: '../../etc/cron.d/x' }), 'task.invalid', '/task_id'],
    ['a deadline of nothing', launch({ deadline_seconds: 0 }), 'task.invalid', '/deadline_seconds'],
    ['a fencing that is not exact', launch({ fencing: 2 ** 53 }), 'task.invalid', '/fencing'],
    ['a time that is none', launch({ not_after: 'tomorrow' }), 'task.invalid', '/not_after'],
    [
      'FAULTS 9: a wrong parameter',
      launch({ params: { ...launchParams(), sandbox: 'kata' } }),
      'task.invalid',
      '/params/sandbox',
    ],
    [
      'FAULTS 9: an unknown parameter',
      launch({ params: { ...launchParams(), privileged: true } }),
      'task.invalid',
      '/params/privileged',
    ],
    ['FAULTS 9: no parameters', launch({ params: null }), 'task.invalid', '/params'],
    ['another workload than its parameters', launch({ params: foreign }), 'task.invalid', '/workload_id'],
    ['FAULTS 10, X-3: an unknown type', launch({ type: 'workload.vm_launch' }), 'task.unsupported'],
    ['FAULTS 10: a type that objects inherit', launch({ type: 'constructor' }), 'task.unsupported'],
    ['FAULTS 10: an unknown version', launch({ schema_version: 2 }), 'task.unsupported'],
    ['FAULTS 10: another node', launch({ node_id: 'node-2' }), 'task.untrusted'],
    ['FAULTS 10: another allocation', launch({ allocation_id: 'alloc-2' }), 'task.untrusted'],
    ['FAULTS 10: a time that is over', launch({ not_after: '2026-11-23T10:29:59.999Z' }), 'task.expired'],
    ['FAULTS 10: a date that no calendar has', launch({ not_after: '2026-99-99T99:99:99Z' }), 'task.expired'],
  ];

  it.each(cases)('%s', async (_name, task, code, path) => {
    const handler = vi.fn<AnyHandler>(async () => null);
    inject('workload.oci_launch', handler);
    const { dispatcher, calls, logFolder } = host();

    const result = await dispatcher.run(task);

    expect(result).toMatchObject({ status: 'rejected', output: null, failure: { code } });
    expect(judge(TaskResult, result).ok).toBe(true);
    if (path !== undefined) {
      const errors = result.failure?.detail['errors'] as { path: string }[];
      expect(errors.map((error) => error.path)).toContain(path);
      expect(result.failure?.message).toContain(path || '/');
    }
    expect(handler).not.toHaveBeenCalled();
    expect(calls).toEqual([]);
    expect(existsSync(logFolder)).toBe(false);
  });

  it('answers under the id of the task, where it has one', async () => {
    const { dispatcher } = host();

    expect((await dispatcher.run({ task_id: 'task-77' })).task_id).toBe('task-77');
    expect((await dispatcher.run({ task_id: 'x'.repeat(5000) })).task_id).toHaveLength(64);
    expect((await dispatcher.run({ task_id: { toString: 'x' } })).task_id).toBe('');
  });

  it('says in few words what is wrong with a task that is large and wrong', async () => {
    const { dispatcher } = host();
    const env = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`-${'x'.repeat(1500)}${index}`, 'v']));

    const result = await dispatcher.run(launch({ params: { ...launchParams(), env } }));

    expect(JSON.stringify(result).length).toBeLessThan(64 * 1024);
  });

  it('rejects a task for a sandbox that this host does not offer: nothing was done', async () => {
    const { dispatcher, calls } = host();

    const result = await dispatcher.run(launch({ params: { ...launchParams(), sandbox: 'gvisor' } }));

    expect(result).toMatchObject({ status: 'rejected', output: null, failure: { code: 'sandbox.unavailable' } });
    expect(calls).toEqual([]);
  });

  it.each([
    ['says that it is a runsc', 'echo "runsc version 1"', 'succeeded'],
    ['says that it is a runc', 'echo "runc version 1.2"', 'rejected'],
    ['says nothing', 'exit 1', 'rejected'],
  ])('begins a launch in gVisor only with a program that is one: this %s', async (_what, script, status) => {
    inject('workload.oci_launch', async () => ({}));
    const program = { path: standIn(testFolder(), 'runsc', script), args: [] };
    const { dispatcher, calls } = host({ policy: { ...hostPolicy, sandboxes: { gvisor: 'runsc' } } }, (defaults) => ({
      facts: async (signal) => ({
        ...(await defaults().facts(signal)),
        runtimePrograms: new Map([['runsc', program]]),
      }),
    }));

    const result = await dispatcher.run(launch({ params: { ...launchParams(), sandbox: 'gvisor' } }));
    await dispatcher.run(launch({ params: { ...launchParams(), sandbox: 'gvisor' } }));

    expect(result.status).toBe(status);
    // One that is gVisor is not asked again at once.
    expect(calls).toEqual(status === 'succeeded' ? ['facts'] : ['facts', 'facts']);
    if (status === 'rejected') {
      expect(result.failure).toMatchObject({
        code: 'sandbox.unavailable',
        detail: { reason: expect.stringContaining('does not say that it is a runsc') },
      });
    }
    // What had begun there is ended by its handler, which knows what there is of it.
    const again = await dispatcher.run(launch({ params: { ...launchParams(), sandbox: 'gvisor' } }), { again: true });
    expect(again.status).toBe('succeeded');
  });

  it('takes a task until the very millisecond in which it expires', async () => {
    inject('workload.oci_launch', async () => ({}));
    const { dispatcher } = host();

    expect((await dispatcher.run(launch({ not_after: '2026-11-23T10:30:00.000Z' }))).status).toBe('succeeded');
  });
});

describe('a task that is carried out', () => {
  it('ends with the output of its handler', async () => {
    const { dispatcher, containers } = host();

    const result = await dispatcher.run(launch());

    expect(result).toMatchObject({
      task_id: 'task-1',
      status: 'succeeded',
      failure: null,
      output: { state: 'running' },
    });
    expect(judge(TaskResult, result).ok).toBe(true);
    expect(Date.parse(result.started_at)).toBeLessThanOrEqual(Date.parse(result.finished_at));
    expect([...containers.keys()]).toEqual(['gpuaas-notebook-1']);
  });

  it('tells what happens while it happens, and repeats it in the output and in the log', async () => {
    const { dispatcher, logOf } = host();
    const events: WorkloadEvent[] = [];

    const result = await dispatcher.run(launch(), { onEvent: (event) => events.push(event) });

    expect(events.map(({ phase }) => phase)).toEqual(['pulling', 'creating', 'starting', 'probing', 'running']);
    expect((result.output as WorkloadOutput).events).toEqual(events);
    const phases = logOf('task-1')
      .filter(({ msg }) => msg === 'event')
      .map(({ to }) => to);
    expect(phases).toEqual(['pulling', 'creating', 'starting', 'probing', 'running']);
  });

  it('has a log of its own, with the task, its type and its instance on every line', async () => {
    const { dispatcher, logOf } = host();

    await dispatcher.run(launch());

    const lines = logOf('task-1');
    expect(lines[0]).toMatchObject({ msg: 'task begins', attempt: 1, fencing: 1 });
    expect(lines.at(-1)).toMatchObject({ msg: 'task ends', status: 'succeeded' });
    const base = { task_id: 'task-1', task_type: 'workload.oci_launch', instance: 'notebook-1' };
    expect(lines).toEqual(lines.map(() => expect.objectContaining(base)));
  });

  it('gets its own credential for the registry', async () => {
    const pullCredential = vi.fn(async () => ({ bearer: 'for this one' }));
    const given: unknown[] = [];
    const { dispatcher } = host({ pullCredential }, (defaults) => ({
      pull: async (image, options) => {
        given.push(await options.credential?.(options.signal));
        return await defaults().pull(image, options);
      },
    }));

    await dispatcher.run(launch());

    expect(given).toEqual([{ bearer: 'for this one' }]);
    expect(pullCredential).toHaveBeenCalledWith(
      expect.objectContaining({ task_id: 'task-1' }),
      expect.any(AbortSignal),
    );
  });

  it.each(['inspect', 'pull', 'list', 'ensureNetwork', 'create', 'start', 'exec', 'wait'] as const)(
    'FAULTS 36: waits for an engine that is away for a moment, and says so: %s',
    async (method) => {
      let away = true;
      const { dispatcher } = host({}, (defaults) => ({
        [method]: async (...args: never[]) => {
          if (away) {
            away = false;
            throw new AgentError('engine.unavailable');
          }
          return await (defaults()[method] as (...args: never[]) => Promise<unknown>)(...args);
        },
      }));

      const result = await dispatcher.run(launch());

      expect(result.status).toBe('succeeded');
      expect((result.output as WorkloadOutput).events.map(({ type }) => type)).toContain('engine.away');
    },
  );
});

describe('the events of a result', () => {
  it('are bounded, the newest ones', async () => {
    inject('workload.oci_control', async (_params: unknown, context: TaskContext) => {
      for (let index = 0; index < 1000; index += 1) {
        context.emit('container.exited', `number ${index}`, { count: index });
      }
      return context.events();
    });
    const { dispatcher } = host();

    const events = (await dispatcher.run(control('stop'))).output as WorkloadEvent[];

    expect(events).toHaveLength(200);
    expect(events.at(-1)?.message).toBe('number 999');
  });

  it('keep the phases of a launch whose pull had much to tell', async () => {
    const { dispatcher } = host({}, (defaults) => ({
      pull: async (image, options) => {
        for (let bytes = 0; bytes < 1000; bytes += 1) {
          options.onProgress?.({ layers: 1, layersDone: 0, bytes, bytesTotal: 1000 });
        }
        return await defaults().pull(image, options);
      },
    }));
    const seen: string[] = [];

    const result = await dispatcher.run(launch(), { onEvent: ({ type }) => seen.push(type) });

    const { events } = result.output as WorkloadOutput;
    expect(seen.filter((type) => type === 'image.progress')).toHaveLength(1000);
    expect(events.map(({ type }) => type)).toEqual([
      ...['phase.entered', 'image.progress', 'phase.entered', 'phase.entered', 'phase.entered', 'phase.entered'],
    ]);
    expect(events[1]?.values).toMatchObject({ bytes: 999 });
  });

  it('hold the newest word only of what is waited for', async () => {
    inject('workload.oci_control', async (_params: unknown, context: TaskContext) => {
      for (let minutes = 0; minutes < 300; minutes += 1) {
        context.emit('readiness.waiting', `Not ready yet after ${minutes} min.`, { seen: ['web: HTTP 503'] });
      }
      return context.events();
    });
    const { dispatcher } = host();

    const events = (await dispatcher.run(control('stop'))).output as WorkloadEvent[];

    expect(events).toMatchObject([{ message: 'Not ready yet after 299 min.', values: { seen: ['web: HTTP 503'] } }]);
  });

  it('hold no value under a key that nobody declared, and no credential in a text', async () => {
    inject('workload.oci_control', async (_params: unknown, context: TaskContext) => {
      context.emit('x', 'GET https://user:c4nary@host/', { password: 'c4nary', errors: [{ token: 'c4nary' }] });
      return context.events();
    });
    const { dispatcher } = host();
    const told: WorkloadEvent[] = [];

    const result = await dispatcher.run(control('stop'), { onEvent: (event) => told.push(event) });

    expect(JSON.stringify([result, told])).not.toContain('c4nary');
    expect(told).toHaveLength(1);
  });
});

describe('a task that fails', () => {
  it('has the failure that was thrown, with the phase it was in', async () => {
    const conflict = new AgentError('port.conflict', { port: 8888, reason: 'nginx has it.' });
    const { dispatcher } = host({}, () => ({ start: () => Promise.reject(conflict) }));

    const result = await dispatcher.run(launch());

    expect(result).toMatchObject({
      status: 'failed',
      failure: { ...conflict.toFailure(), detail: { port: 8888, phase: 'starting' } },
    });
  });

  it('has the output that came with it, and the same failure in it', async () => {
    const { dispatcher, containers } = host({}, () => ({
      start: () => Promise.reject(new AgentError('port.conflict')),
    }));

    const result = await dispatcher.run(launch());

    const output = result.output as WorkloadOutput;
    expect(output).toMatchObject({
      state: 'failed',
      cleanup: { removed: expect.arrayContaining(['container gpuaas-notebook-1']) },
    });
    expect(output.failure).toEqual(result.failure);
    expect(containers.size).toBe(0);
  });

  it('is internal where the error is none of ours, with the cause in the log', async () => {
    inject('workload.oci_control', async () => {
      throw new TypeError('undefined is not a function', { cause: new Error('the root of it') });
    });
    const { dispatcher, logOf } = host();

    const result = await dispatcher.run(control('stop'));

    expect(result).toMatchObject({
      status: 'failed',
      failure: { code: 'internal', detail: { reason: 'TypeError: undefined is not a function' } },
    });
    expect(logOf('task-1').find(({ msg }) => msg === 'task failed')).toMatchObject({
      level: 'error',
      code: 'internal',
      err: {
        name: 'TypeError',
        stack: expect.stringContaining('dispatch.test.ts'),
        cause: { message: 'the root of it' },
      },
    });
  });

  it.each([undefined, null, 'a text', 42, { code: 'port.conflict' }])(
    'is internal where %j was thrown',
    async (thrown) => {
      inject('workload.oci_control', () => Promise.reject(thrown));

      const result = await host().dispatcher.run(control('stop'));

      expect(result).toMatchObject({ status: 'failed', failure: { code: 'internal' } });
    },
  );

  it('is rejected where it was refused before anything was done, and failed from the first phase on', async () => {
    const refused = await host().dispatcher.run(control('stop'));
    const denied = await host().dispatcher.run(launch({ params: { ...launchParams(), env: { LD_PRELOAD: '/x' } } }));
    inject('workload.oci_control', async (_params: unknown, context: TaskContext) => {
      context.enter('stopping');
      throw new AgentError('policy.refused');
    });
    const begun = await host().dispatcher.run(control('stop'));

    expect(refused).toMatchObject({ status: 'rejected', failure: { code: 'container.not_found' } });
    expect(denied).toMatchObject({ status: 'rejected', failure: { code: 'policy.refused' } });
    expect(begun).toMatchObject({
      status: 'failed',
      failure: { code: 'policy.refused', detail: { phase: 'stopping' } },
    });
  });

  it('G-200: fails for a transition that no workload can make', async () => {
    inject('workload.oci_control', async (_params: unknown, context: TaskContext) => {
      context.enter('removing');
      context.enter('running');
    });

    const result = await host().dispatcher.run(control('stop'));

    expect(result.failure).toMatchObject({
      code: 'internal',
      detail: { reason: 'Error: forbidden workload transition removing -> running', phase: 'removing' },
    });
  });

  it('has a result also where its log cannot be opened', async () => {
    const { dispatcher, calls, logFolder } = host();
    writeFileSync(logFolder, 'a file in place of the folder');

    const result = await dispatcher.run(launch());

    expect(result).toMatchObject({ status: 'rejected', output: null, failure: { code: 'config.invalid' } });
    expect(calls).toEqual([]);
  });
});

describe('a task whose time is over', () => {
  it('is timed out in the phase it was in, and what it made is taken away', async () => {
    // The deadline of the task passes when the test says so.
    const deadline = new AbortController();
    const { dispatcher, containers, data, networks } = host({}, () => ({
      start: (_name, signal) => {
        deadline.abort(new DOMException('The deadline is over.', 'TimeoutError'));
        return untilAborted(signal);
      },
    }));
    const timeout = vi.spyOn(AbortSignal, 'timeout').mockReturnValueOnce(deadline.signal);

    const running = dispatcher.run(launch({ deadline_seconds: 7 }));
    const [counted] = timeout.mock.calls;
    timeout.mockRestore();
    const result = await running;

    expect(counted).toEqual([7000]);
    expect(result).toMatchObject({
      status: 'failed',
      failure: { code: 'task.timed_out', kind: 'timed_out', detail: { phase: 'starting' } },
      output: { state: 'failed', failure: { code: 'task.timed_out' }, cleanup: { failed: [] } },
    });
    expect([containers.size, data.size, networks.size]).toEqual([0, 0, 0]);
  });
});

describe('the limit of tasks at work', () => {
  it('holds for those that change something, and for no others', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const begun: string[] = [];
    inject('workload.oci_remove', async (_params: unknown, { taskId }: TaskContext) => {
      begun.push(taskId);
      await promise;
      return null;
    });
    inject('workload.oci_runtime_status', async () => begun.push('status'));
    const { dispatcher } = host({ parallel: 2 });
    const remove = (id: string) => {
      const params = { identity: { ...identity, app_instance_id: id }, keep_data: false, grace_seconds: 0 };
      return dispatcher.run(task('workload.oci_remove', params, { task_id: id, workload_id: id }));
    };

    const removals = ['a', 'b', 'c'].map(remove);
    await dispatcher.run(task('workload.oci_runtime_status', {}, { task_id: 'status' }));
    await expect.poll(() => begun).toEqual(['status', 'a', 'b']);
    resolve();
    await Promise.all(removals);

    expect(begun).toEqual(['status', 'a', 'b', 'c']);
  });
});

describe('a host that has a say of its own', () => {
  it('rejects what it does not want, before anything is done', async () => {
    const { dispatcher, calls } = host();

    const result = await dispatcher.run(launch(), {
      admit: ({ type }) => {
        throw new AgentError('agent.draining', { reason: `No ${type} today.` });
      },
    });

    expect(result).toMatchObject({ status: 'rejected', failure: { code: 'agent.draining', retryable: true } });
    expect(calls).toEqual([]);
  });
});

describe('a task that is cancelled', () => {
  it('is cancelled in the phase it was in, and what it made is taken away', async () => {
    const cancel = new AbortController();
    const { dispatcher, containers, networks } = host({}, () => ({
      start: (_name, signal) => {
        cancel.abort(new Error('the operator changed his mind'));
        return untilAborted(signal);
      },
    }));

    const result = await dispatcher.run(launch(), { cancel: cancel.signal });

    expect(result).toMatchObject({
      status: 'cancelled',
      failure: { code: 'task.cancelled', kind: 'cancelled', detail: { phase: 'starting' } },
      output: { state: 'failed', failure: { code: 'task.cancelled' } },
    });
    expect([containers.size, networks.size]).toEqual([0, 0]);
  });

  it('is not begun at all where that was said before', async () => {
    const { dispatcher, calls } = host();

    const result = await dispatcher.run(launch(), { cancel: AbortSignal.abort(new Error('never mind')) });

    expect(result).toMatchObject({ status: 'cancelled', failure: { code: 'task.cancelled', detail: { phase: null } } });
    expect(calls).toEqual([]);
  });

  it('has its result at once while it waits for another one of its workload, which goes on', async () => {
    const gate = Promise.withResolvers<void>();
    const begun: string[] = [];
    inject('workload.oci_control', async (_params: unknown, { taskId }: TaskContext) => {
      begun.push(taskId);
      await gate.promise;
    });
    const { dispatcher } = host();
    const cancelLater = new AbortController();
    const long = dispatcher.run(control('stop', { task_id: 'long' }));
    const waiting = dispatcher.run(control('stop', { task_id: 'waiting' }), { cancel: cancelLater.signal });
    const next = dispatcher.run(control('stop', { task_id: 'next' }));

    cancelLater.abort(new Error('the operator changed his mind'));

    expect(await waiting).toMatchObject({ status: 'cancelled', output: null, failure: { code: 'task.cancelled' } });
    expect(begun).toEqual(['long']);
    gate.resolve();
    expect((await Promise.all([long, next])).map(({ status }) => status)).toEqual(['succeeded', 'succeeded']);
    expect(begun).toEqual(['long', 'next']);
  });

  it('is cancelled also where the engine dresses that up as an error of its own', async () => {
    const cancel = new AbortController();
    inject('workload.oci_control', async (_params: unknown, { signal }: TaskContext) => {
      cancel.abort(new Error('cancelled'));
      throw new AgentError('engine.timed_out', {}, { cause: signal.reason });
    });

    const result = await host().dispatcher.run(control('stop'), { cancel: cancel.signal });

    expect(result).toMatchObject({ status: 'cancelled', failure: { code: 'task.cancelled' } });
  });

  it('is not cancelled where it failed for a reason of its own in the same moment', async () => {
    const cancel = new AbortController();
    inject('workload.oci_control', async () => {
      cancel.abort(new Error('cancelled'));
      throw new AgentError('engine.failed');
    });

    const result = await host().dispatcher.run(control('start'), { cancel: cancel.signal });

    expect(result).toMatchObject({ status: 'failed', failure: { code: 'engine.failed' } });
  });

  it('is cancelled with the output of a failure', async () => {
    const cancel = new AbortController();
    inject('workload.oci_control', async (_params: unknown, context: TaskContext) => {
      cancel.abort(new Error('cancelled'));
      throw new FailedTask(context.signal.reason, (failure) =>
        workloadOutput(identity, { state: 'failed', summary: 'undone', container: undefined, failure }, context),
      );
    });

    const result = await host().dispatcher.run(control('stop'), { cancel: cancel.signal });

    expect(result).toMatchObject({
      status: 'cancelled',
      output: { summary: 'undone', failure: { code: 'task.cancelled' } },
    });
  });
});

describe('tasks at the same time', () => {
  it('run one after another for one workload, in the order in which they came, whatever becomes of them', async () => {
    const seen: string[] = [];
    inject('workload.oci_control', async (_params: unknown, { taskId }: TaskContext) => {
      seen.push(`${taskId} begins`);
      await new Promise((resolve) => setImmediate(resolve));
      seen.push(`${taskId} ends`);
      if (taskId === 'b') {
        throw new Error('this one fails');
      }
    });
    const { dispatcher } = host();

    await Promise.all(['a', 'b', 'c'].map((task_id) => dispatcher.run(control('stop', { task_id }))));

    expect(seen).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
  });

  it('run side by side for different workloads', async () => {
    const gate = Promise.withResolvers<void>();
    inject('workload.oci_control', async (_params: unknown, { taskId }: TaskContext) => {
      if (taskId === 'waits') {
        await gate.promise;
      } else {
        gate.resolve();
      }
    });
    const { dispatcher } = host();
    const elsewhere = { identity: { ...identity, app_instance_id: 'other' }, action: 'stop', grace_seconds: 1 };

    const results = await Promise.all([
      dispatcher.run(control('stop', { task_id: 'waits' })),
      dispatcher.run(control('stop', { task_id: 'opens', workload_id: 'other', params: elsewhere })),
    ]);

    expect(results.map(({ status }) => status)).toEqual(['succeeded', 'succeeded']);
  });

  it('wait for nobody where they change nothing', async () => {
    const gate = Promise.withResolvers<void>();
    inject('workload.oci_control', () => gate.promise);
    inject('workload.oci_runtime_status', async () => 'looked');
    const { dispatcher } = host();
    const long = dispatcher.run(control('stop', { workload_id: 'notebook-1' }));

    const status = await dispatcher.run(task('workload.oci_runtime_status', {}, { workload_id: 'notebook-1' }));
    gate.resolve();

    expect(status).toMatchObject({ status: 'succeeded', output: 'looked' });
    expect((await long).status).toBe('succeeded');
  });

  it('count the time they wait', async () => {
    const gate = Promise.withResolvers<void>();
    const handler = vi.fn<AnyHandler>(() => gate.promise);
    inject('workload.oci_control', handler);
    const { dispatcher } = host();
    const long = dispatcher.run(control('stop', { task_id: 'long' }));

    const deadline = new AbortController();
    const timeout = vi.spyOn(AbortSignal, 'timeout').mockReturnValueOnce(deadline.signal);
    const late = dispatcher.run(control('stop', { task_id: 'late', deadline_seconds: 7 }));
    const counted = [...timeout.mock.calls];
    timeout.mockRestore();
    deadline.abort(new DOMException('The deadline is over.', 'TimeoutError'));
    gate.resolve();

    expect(await late).toMatchObject({
      status: 'failed',
      failure: { code: 'task.timed_out', detail: { phase: null } },
    });
    expect(counted).toEqual([[7000]]);
    expect((await long).status).toBe('succeeded');
    expect(handler).toHaveBeenCalledTimes(1);
  });
});

describe('G-160: a secret that a task opens', () => {
  it('is in no result, no event and no log, whoever repeats it', async () => {
    const { dispatcher, logFolder, requests } = host({ unseal: async () => Buffer.from(canary) }, () => ({
      exec: async (_name, _argv, { onOutput }) => {
        onOutput?.('stdout', `the token is ${canary}\n`);
        onOutput?.('stderr', JSON.stringify({ token: canary }));
        return { exitCode: 1, tail: `cannot log in with ${canary}`, adopted: false };
      },
    }));
    const told: WorkloadEvent[] = [];
    const params = launchParams({
      sealed_env: { API_KEY: sealed },
      sealed_files: { '/run/secrets/token': sealed },
      python_packages: ['numpy'],
    });

    const result = await dispatcher.run(launch({ params }), { onEvent: (event) => told.push(event) });

    expect(result.failure).toMatchObject({
      code: 'packages.failed',
      detail: { excerpt: 'the token is [redacted]\n{"token":"[redacted]"}' },
    });
    expect(requests[0]?.Env).toContain(`API_KEY=${canary}`);
    const logs = readdirSync(logFolder).map((name) => readFileSync(join(logFolder, name), 'utf8'));
    expect(logs.join('').length).toBeGreaterThan(500);
    expect(JSON.stringify([result, told]) + logs.join('')).not.toContain('c4nary');
  });

  it('is in nothing either where it is no text', async () => {
    const binary = Buffer.from('00ff80c3a04142e2820d0afe7f01', 'hex');
    const { dispatcher, logFolder } = host({ unseal: async () => binary }, () => ({
      exec: async (_name, _argv, { onOutput }) => {
        onOutput?.('stdout', `${binary.toString()}\n${binary.toString('latin1')}\n${binary.toString('hex')}\n`);
        return { exitCode: 1, tail: '', adopted: false };
      },
    }));
    const params = launchParams({ sealed_files: { '/run/secrets/key': sealed }, python_packages: ['numpy'] });

    const { failure } = await dispatcher.run(launch({ params }));

    const logs = readdirSync(logFolder).map((name) => readFileSync(join(logFolder, name), 'utf8'));
    expect(failure?.detail['excerpt']).toContain('[redacted]');
    for (const form of [binary.toString(), binary.toString('latin1'), binary.toString('hex')]) {
      const inJson = JSON.stringify(form.split(/[\r\n]/)[0]).slice(1, -1);
      expect(JSON.stringify(failure) + logs.join('')).not.toContain(inJson);
    }
  });

  it.each([{ bearer: canary }, { username: 'robot', password: canary }])(
    'and handed to the registry is in nothing: %j',
    async (credential) => {
      const { dispatcher, logFolder } = host({ pullCredential: async () => credential }, () => ({
        pull: async (_image, { credential: ask, signal, onRetry }) => {
          await ask?.(signal);
          const error = new AgentError('image.pull_failed', { reason: `It does not know ${canary}.` });
          onRetry?.({ attempt: 1, delayMs: 1, error });
          throw error;
        },
      }));
      const told: WorkloadEvent[] = [];

      const result = await dispatcher.run(launch(), { onEvent: (event) => told.push(event) });

      const logs = readdirSync(logFolder).map((name) => readFileSync(join(logFolder, name), 'utf8'));
      expect(result.failure?.message).toContain('It does not know [redacted].');
      expect(JSON.stringify([result, told]) + logs.join('')).not.toContain('c4nary');
    },
  );

  it('is not half in what is cut to its bounds', async () => {
    const { dispatcher } = host({ unseal: async () => Buffer.from(canary) });
    inject('workload.oci_launch', async (_params: unknown, context: TaskContext) => {
      await context.unseal(sealed);
      context.emit('said', `${'x'.repeat(2030)}${canary} and on and on and on`, {
        reason: `${'x'.repeat(8170)}${canary} and on and on and on`,
      });
      throw new AgentError('engine.failed', {
        ...{
          reason: `${'x'.repeat(1900)}${canary.repeat(20)}`,
          fact: `${'x'.repeat(8170)}${canary} and on and on and on`,
        },
      });
    });
    const told: WorkloadEvent[] = [];

    const { failure } = await dispatcher.run(launch(), { onEvent: (event) => told.push(event) });

    expect(String(failure?.detail['fact']).endsWith('[cut]')).toBe(true);
    expect(told[0]?.message.endsWith('[cut]')).toBe(true);
    expect(JSON.stringify([failure, told]).includes('c4n')).toBe(false);
  });

  it('does not break the result where it is a word that results are made of', async () => {
    const { dispatcher } = host({ unseal: async () => Buffer.from('succeeded') });

    const result = await dispatcher.run(launch({ params: launchParams({ sealed_env: { WORD: sealed } }) }));

    expect(judge(TaskResult, result).ok).toBe(true);
    expect(result.status).toBe('succeeded');
  });

  it('that cannot be opened fails the task before anything is made', async () => {
    const { dispatcher, calls } = host({ unseal: () => Promise.reject(new AgentError('secret.unavailable')) });

    const result = await dispatcher.run(launch({ params: launchParams({ sealed_env: { A: sealed } }) }));

    expect(result).toMatchObject({
      status: 'failed',
      failure: { code: 'secret.unavailable', detail: { phase: 'pulling' } },
    });
    expect(calls.filter((call) => /^(create|ensureNetwork|putSecrets)/.test(call))).toEqual([]);
  });
});

interface LogLine {
  readonly [key: string]: unknown;
}

interface Host extends RecordingEngine {
  readonly dispatcher: Dispatcher;
  readonly logFolder: string;
  logOf(taskId: string): LogLine[];
}

function host(
  over: Partial<DispatcherOptions> = {},
  overrides: (defaults: () => ContainerEngine) => Partial<ContainerEngine> = () => ({}),
): Host {
  hosts += 1;
  const logFolder = join(folder, `task-logs-${hosts}`);
  const recorded: RecordingEngine = recordingEngine(overrides(() => recorded.defaults));
  const dispatcher = new Dispatcher({
    engine: recorded.engine,
    gpus: cardLedger(recorded.engine).ledger,
    jobs: openHostJobs(),
    stacks: recordingStacks().stacks,
    policy: { ...hostPolicy, reserves: { cpu_cores: 0, memory_gib: 0, disk_gib: 0 } },
    taskLogs: { folder: logFolder, level: 'info', maxBytes: 2 ** 20, maxTasks: 100 },
    unseal: async () => Buffer.from('opened'),
    now: () => now,
    ...over,
  });
  const logOf = (taskId: string) =>
    readFileSync(join(logFolder, `${taskId}.ndjson`), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as LogLine);
  return { ...recorded, dispatcher, logFolder, logOf };
}

function task(type: TaskType, params: unknown, over: Partial<TaskEnvelope> = {}): TaskEnvelope {
  return {
    ...{ task_id: 'task-1', type, schema_version: 1, node_id: 'node-1', allocation_id: 'alloc-1' },
    ...{ workload_id: 'notebook-1', attempt: 1, fencing: 1, deadline_seconds: 60 },
    ...{ issued_at: '2026-11-23T10:00:00Z', not_after: '2026-11-23T11:00:00Z', trace_id: '', params },
    ...over,
  };
}

/** A launch that any machine has room for. */
function launch(over: Partial<TaskEnvelope> = {}): TaskEnvelope {
  const resources = { gpu_count: 0, cpu_cores: 0.1, memory_gib: 0.0625 };
  const { params = launchParams(), ...rest } = over;
  const small = typeof params === 'object' && params !== null ? { ...params, resources } : params;
  return task('workload.oci_launch', small, rest);
}

function control(action: 'stop' | 'start' | 'restart', over: Partial<TaskEnvelope> = {}): TaskEnvelope {
  return task('workload.oci_control', { identity, action, grace_seconds: 1 }, over);
}

function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.throwIfAborted();
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
