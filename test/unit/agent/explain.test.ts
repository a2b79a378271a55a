/** Explanations from a journal: what supervision saw, tasks at work, sources that are silent. */
import { describe, expect, it } from 'vitest';
import { withKernelLog } from '../../../src/agent/explain/explain.ts';
import type { KeptEvent, KeptWorkload } from '../../../src/agent/journal/journal.ts';
import type { LogFacts } from '../../../src/agent/logs/task-lines.ts';
import { AgentError, type Failure } from '../../../src/contract/failures.ts';
import { explained } from '../../support/explained.ts';
import { keptTask } from '../../support/kept-task.ts';
import { keptStack } from '../../support/kept-workloads.ts';
import { containerFacts } from '../../support/recording-engine.ts';

const instance = 'notebook-1';
const containerId = 'a'.repeat(64);

const launched = keptTask({
  phases: [
    { phase: 'pulling', at: '2026-11-25T10:00:00.100Z' },
    { phase: 'starting', at: '2026-11-25T10:00:03.300Z' },
    { phase: 'running', at: '2026-11-25T10:00:04.000Z' },
  ],
  result: {},
});

const workload: KeptWorkload = {
  ...{ workload_id: instance, project_id: 'project-7', allocation_id: 'alloc-1', task_id: 'task-1', fencing: 7 },
  ...{ params: null, desired: 'running', state: 'running', since: '2026-11-25T10:00:04.000Z', endpoints: [] },
  ...{ restarts: 0, streak: 0 },
};

function seen(time: string, type: string, message: string, failure: Failure | null = null, values = {}): KeptEvent {
  return {
    at: time,
    body: {
      ...{ workload_id: instance, source: 'supervisor', state: failure ? 'failed' : null, failure },
      event: { time, type, phase: null, message, values },
    },
  };
}

describe('an explanation', () => {
  it('tells who asked for what: task, fencing and trace', async () => {
    const { text } = await explained(instance, { tasks: [launched], workload });

    expect(text).toContain('instance notebook-1 (My JupyterLab): running');
    expect(text).toContain('task task-1, fencing 7, trace trace-1\n');
    expect(text).toContain('by the control plane, whose events of this trace name who asked there\n');
    expect(text).toContain('app jupyterlab 2026.04-preview, for project project-7');
    expect(text).toContain('1 core, 2 GiB of memory');
    expect(text).toMatch(/10:00:00\.100 {2}agent {8}The workload was pulling\. {2}\(3\.2 s\)/);
  });

  it.each([
    ['stop', 'The stop succeeded.'],
    ['restart', 'The restart succeeded.'],
  ])('calls a %s what it is', async (action, words) => {
    const control = { type: 'workload.oci_control', params: { action, grace_seconds: 30 } };
    const task = keptTask({ envelope: control, result: {} });

    expect((await explained(instance, { tasks: [task], workload })).text).toContain(words);
  });

  it('tells a task of the command line from one of the control plane', async () => {
    const task = keptTask({ envelope: { trace_id: '' }, result: {} });

    expect((await explained(instance, { tasks: [task], workload })).text).toContain('by a command on this host\n');
  });

  it('tells what supervision saw and decided, with its own times, and gives advice for the newest trouble', async () => {
    const failure = new AgentError('container.oom_killed', { container: 'gpuaas-notebook-1', exit_code: 137 });
    const { explanation, text } = await explained(instance, {
      tasks: [launched],
      workload: { ...workload, state: 'failed', restarts: 3 },
      events: [
        seen('2026-11-25T11:00:00.123456789Z', 'container.oom', 'The container was killed.', failure.toFailure()),
        seen('2026-11-25T11:00:01Z', 'restart.given_up', 'It is not started again: 3 of 3 restarts are used up.'),
      ],
    });

    expect(explanation).toMatchObject({ state: 'failed', failure: { code: 'container.oom_killed' } });
    expect(text).toMatch(/11:00:00\.123 {2}supervisor ! The container was killed\./);
    expect(text).toContain('3 of 3 restarts are used up');
    expect(explanation.next).toContain('more than 2 GiB of memory, 4 to begin with');
  });

  it('tells when the engine was away meanwhile, and nothing of it from before', async () => {
    const host = (time: string, type: string) => {
      const told = seen(time, type, `It is ${type}.`);
      return { ...told, body: { ...told.body, workload_id: null } };
    };
    const { text } = await explained(instance, {
      tasks: [launched],
      workload,
      events: [
        host('2026-11-25T08:00:00Z', 'engine.away'),
        host('2026-11-25T11:00:00Z', 'engine.away'),
        host('2026-11-25T11:00:05Z', 'engine.back'),
        host('2026-11-25T11:00:06Z', 'keys.rotated'),
      ],
    });

    const told = text.split('\n').flatMap((line) => / {2}supervisor.*(It is .*)$/.exec(line)?.[1] ?? []);
    expect(told).toEqual(['It is engine.away.', 'It is engine.back.']);
  });

  it('says when it runs again after all, and how often it was started', async () => {
    const failure = new AgentError('container.exited', { exit_code: 1 }).toFailure();
    const { explanation } = await explained(instance, {
      tasks: [launched],
      workload: { ...workload, restarts: 2 },
      events: [seen('2026-11-25T11:00:00Z', 'container.exited', 'The container ended.', failure)],
    });

    expect(explanation).toMatchObject({ state: 'running', failure: null });
    expect(explanation.summary).toContain('started it again 2 times');
  });

  it('marks the end of a container as a fault only where nobody had told the engine to end it', async () => {
    const event = (second: number, action: string, exitCode?: number) => ({
      ...{ time: `2026-11-25T10:00:0${second}Z`, action, exitCode: exitCode ?? null },
      ...{ container: containerId, instance },
    });
    const engineEvents = async () => [
      ...[event(1, 'start'), event(2, 'die', 137), event(3, 'start'), event(4, 'kill'), event(5, 'die', 137)],
      event(6, 'destroy'),
    ];

    const { text } = await explained(instance, { tasks: [launched], workload, sources: { engineEvents } });

    expect(text).toMatch(
      /10:00:02\.000 {2}engine {5}! The container ended with exit code 137: it was ended by SIGKILL\.\n/,
    );
    expect(text).toMatch(
      /10:00:05\.000 {2}engine {7}The container ended with exit code 137: it was ended by SIGKILL, as it was told to\.\n/,
    );
  });

  it('of a stack tells which service did what, and where to read on', async () => {
    const event = (second: number, service: string, action: string, exitCode: number | null = null) => ({
      ...{ time: `2026-11-25T10:00:0${second}Z`, action, exitCode },
      ...{ container: `gpuaas-stack-1.${service}`, instance: 'stack-1' },
    });
    const engineEvents = async () => [
      ...[event(1, 'db', 'start'), event(2, 'web', 'start'), event(3, 'db', 'die', 3), event(4, 'web', 'oom')],
    ];
    const detail = { container: 'gpuaas-stack-1.db', service: 'db', exit_code: 3 };
    const failure = new AgentError('container.exited', detail).toFailure();
    const broken = keptStack({ state: 'failed' });
    const end = seen('2026-11-25T10:00:03Z', 'container.exited', 'The service db ended with 3.', failure);

    const { explanation, text } = await explained('stack-1', {
      ...{ workload: broken, sources: { engineEvents } },
      events: [{ ...end, body: { ...end.body, workload_id: 'stack-1' } }],
    });

    expect(explanation).toMatchObject({ state: 'failed', failure: { detail: { service: 'db' } } });
    expect(explanation.next).toContain('`node-agent logs stack-1 --service db`');
    expect(text).toMatch(/10:00:02\.000 .*The container of the service web was started\./);
    expect(text).toMatch(/10:00:03\.000 .*The container of the service db ended with exit code 3/);
    expect(text).toMatch(/10:00:04\.000 .*A process of the container of the service web ran out of the memory/);
  });

  it('tells what became of its cards, and of no others', async () => {
    const card = (uuid: string, held_by: string) => ({
      at: '2026-11-25T10:00:05Z',
      body: {
        ...{ workload_id: null, source: 'host' as const, state: null, failure: null },
        event: {
          ...{ time: '2026-11-25T10:00:05Z', type: 'gpu.vanished', phase: null },
          ...{ message: `The card ${uuid} is gone.`, values: { uuid, held_by } },
        },
      },
    });
    const sick = { uuid: 'GPU-1', service: null, reason: 'It is gone.', lost: true };
    const failure = new AgentError('gpu.unhealthy', { gpus: ['GPU-1'], reason: 'GPU-1: It is gone.' }).toFailure();

    const { explanation, text } = await explained(instance, {
      tasks: [launched],
      workload: { ...workload, state: 'running', sick_gpus: [sick] },
      events: [
        ...[card('GPU-1', instance), card('GPU-2', 'other')],
        seen('2026-11-25T10:00:06Z', 'gpu.unhealthy', 'A card of the workload is not well.', failure),
      ],
    });

    expect(explanation).toMatchObject({ state: 'degraded', failure: { code: 'gpu.unhealthy' } });
    expect(explanation.next).toContain('restart it where it has lost its card');
    expect(text).toContain('The card GPU-1 is gone.');
    expect(text).not.toContain('GPU-2');
  });

  it('of a task that is at work says in which phase, and how to follow it', async () => {
    const task = keptTask({ phases: [{ phase: 'pulling', at: '2026-11-25T10:00:00.100Z' }] });
    const log: LogFacts[] = [
      { time: '2026-11-25T10:00:02Z', msg: 'event', event: 'image.progress', text: '2 of 5 layers, 12.0 MiB' },
      {
        time: '2026-11-25T10:00:03Z',
        msg: 'pull failed, will retry',
        level: 'warn',
        attempt: 1,
        err: { message: 'EOF' },
      },
    ];

    const { explanation, text } = await explained('task-1', { tasks: [task], sources: { taskLog: async () => log } });

    expect(explanation).toMatchObject({ subject: { kind: 'task' }, state: 'running', failure: null });
    expect(text).toContain('2 of 5 layers, 12.0 MiB');
    expect(text).toMatch(/agent {6}\? Pull failed, will retry\.\n +attempt 1\n +because: EOF/);
    expect(text).toContain('at work on this now');
    expect(explanation.next).toContain('node-agent logs --task -f task-1');
  });

  it('of a start that takes long says what it waited for last', async () => {
    const task = keptTask({ phases: [{ phase: 'probing', at: '2026-11-25T10:00:00.100Z' }] });
    const waiting = (time: string, text: string) => ({ time, msg: 'event', event: 'readiness.waiting', text });
    const log: LogFacts[] = [
      waiting('2026-11-25T10:00:30Z', 'Not ready yet after 30 s.'),
      waiting('2026-11-25T10:01:30Z', 'Not ready yet after 90 s.'),
    ];

    const { text } = await explained('task-1', { tasks: [task], sources: { taskLog: async () => log } });

    expect(text).toContain('Not ready yet after 90 s.');
    expect(text).not.toContain('Not ready yet after 30 s.');
  });

  it('blames no package where it is the index that cannot be reached', async () => {
    const excerpt =
      'Failed to establish a new connection: [Errno 111] Connection refused\nERROR: No matching distribution found for numpy';
    const failure = new AgentError('packages.failed', { excerpt }).toFailure();

    const { explanation } = await explained('task-1', { tasks: [keptTask({ failure })] });

    expect(explanation.next).toMatch(/^Make the package index reachable/);
  });

  it('of a full disk says where to look (FAULTS 18)', async () => {
    const failure = new AgentError('disk.full', { path: '/var/lib/docker', free_bytes: 1, needed_bytes: 2 });
    const { explanation } = await explained('task-1', { tasks: [keptTask({ failure: failure.toFailure() })] });

    expect(explanation.next).toContain('`df -h /var/lib/docker`');
  });

  it('says that the engine hangs rather than hang with it (FAULTS 17)', async () => {
    const { explanation } = await explained(instance, {
      tasks: [launched],
      workload,
      sources: {
        containers: async () => {
          throw new AgentError('engine.timed_out', { call: 'inspect' });
        },
      },
    });

    expect(explanation).toMatchObject({ state: 'unknown', failure: { code: 'engine.timed_out' } });
    expect(explanation.next).toContain('The engine hangs');
  });

  it('names the process that the kernel killed, and no other', async () => {
    const line = (text: string) => ({ time: '2026-11-25T10:00:05.000Z', text });
    const oom = (id: string, pid: number) => [
      line(
        `oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg=/docker/${id},task_memcg=/docker/${id},task=python,pid=${pid},uid=0`,
      ),
      line(
        `Memory cgroup out of memory: Killed process ${pid} (python) total-vm:9kB, anon-rss:2097152kB, file-rss:0kB`,
      ),
    ];
    const { text } = await explained(instance, {
      tasks: [launched],
      workload,
      sources: {
        containers: async () => [containerFacts({ id: containerId })],
        kernelLog: () => [...oom('b'.repeat(64), 11), ...oom(containerId, 22)],
      },
    });

    expect(text).toContain('The kernel killed python (process 22): the container was at its memory limit.');
    expect(text).toContain('2048 MiB of it were in memory');
    expect(text).not.toContain('process 11');
  });

  it('says what it could not consult, and tells the rest', async () => {
    const { explanation } = await explained(instance, {
      tasks: [launched],
      workload,
      sources: { kernelLog: () => undefined },
    });

    expect(explanation.notes).toEqual([expect.stringContaining('as root, `dmesg`')]);
    expect(explanation.timeline.length).toBeGreaterThan(3);
  });

  it.each([instance, 'task-1'])('is the same where somebody else adds the kernel log later: %s', async (id) => {
    const container = 'c'.repeat(64);
    const said = (second: number, text: string) => ({ time: `2026-11-25T10:00:0${second}.500Z`, text });
    const lines = [
      said(3, 'NVRM: Xid (PCI:0000:01:00): 79, pid=1, GPU has fallen off the bus.'),
      said(4, `oom-kill:constraint=X,task_memcg=/docker/${container},task=python,pid=22,uid=0`),
      said(4, 'Memory cgroup out of memory: Killed process 22 (python) total-vm:9kB, anon-rss:2048kB'),
      { time: '2027-01-01T00:00:00.000Z', text: 'NVRM: Xid (PCI:0000:01:00): 13, long after the task.' },
    ];
    const facts = { tasks: [launched], ...(id === instance ? { workload } : {}) };
    const containers = async () => [containerFacts({ id: container })];
    const at = (kernelLog: () => typeof lines | undefined) =>
      explained(id, { ...facts, sources: { containers, kernelLog } });
    const { explanation: whole } = await at(() => lines);

    const { explanation: without } = await at(() => undefined);

    expect(without.timeline.filter(({ source }) => source === 'kernel')).toEqual([]);
    expect(whole.timeline.filter(({ source }) => source === 'kernel')).toHaveLength(id === instance ? 3 : 2);
    expect({ ...withKernelLog(without, lines), at: '' }).toEqual({ ...whole, at: '' });
    expect(withKernelLog(without, undefined)).toBe(without);
    expect(withKernelLog(whole, lines)).toBe(whole);
  });

  it('leaves nothing in the text that steers a terminal or passes for a line of its own', async () => {
    const failure = new AgentError('container.exited', {
      ...{ exit_code: 1, excerpt: '\u001b[31mred\nWhat to do next: rm -rf /' },
    }).toFailure();
    const { text } = await explained('task-1', { tasks: [keptTask({ failure })] });

    expect(text).not.toContain('\u001b');
    expect(text.match(/^What to do next: /gm)).toHaveLength(1);
  });

  it('of a workload that was taken away says that nothing is to be done', async () => {
    const removal = keptTask({
      envelope: {
        ...{ task_id: 'task-2', type: 'workload.oci_remove' },
        params: { identity: {}, grace_seconds: 10, keep_data: true },
      },
      phases: [{ phase: 'removed', at: '2026-11-25T12:00:00.000Z' }],
      result: { finished_at: '2026-11-25T12:00:01.000Z' },
    });

    const { explanation, text } = await explained(instance, { tasks: [launched, removal] });

    expect(explanation).toMatchObject({ state: 'removed', failure: null });
    expect(text).toContain('its data stays');
    expect(explanation.next).toMatch(/^Nothing: it was taken away\./);
  });

  it('does not guess about what nobody knows', async () => {
    await expect(explained('who', {})).rejects.toMatchObject({ code: 'explain.unknown' });
  });
});
