import { describe, expect, it } from 'vitest';
import { changeBy, leftNothing } from '../../../src/agent/task-effects.ts';
import type { TaskResult } from '../../../src/contract/task-envelope.ts';
import { endedTask, keptWorkload } from '../../support/kept-workloads.ts';
import { stackParams } from '../../support/stack-bench.ts';
import { identity, launchParams } from '../../support/task-bench.ts';

const finished_at = '2026-11-25T12:00:00.000Z';
const cleanup = { removed: [], kept: [] as string[], failed: [] };

function change(type: string, params: unknown, result: Partial<TaskResult>, before = keptWorkload()) {
  const task = endedTask({ type, params, fencing: 7 }, { finished_at, ...result });
  return changeBy(task.envelope, task.result as TaskResult, before);
}

describe('what a task makes of its workload', () => {
  it('is a row to supervise, after a launch', () => {
    const params = launchParams();
    const output = { state: 'running', endpoints: [] };

    expect(change('workload.oci_launch', params, { output })).toEqual({
      workload_id: 'notebook-1',
      keep: {
        ...{ workload_id: 'notebook-1', project_id: 'project-7', allocation_id: 'alloc-1', task_id: 'task-1' },
        ...{ fencing: 7, params, desired: 'running', state: 'running', since: finished_at, endpoints: [] },
        ...{ restarts: 0, streak: 0 },
      },
    });
  });

  it('is a row with each service, after the launch of a stack', () => {
    const params = stackParams();
    const services = [
      { name: 'web', state: 'running' },
      { name: 'db', state: 'stopped' },
    ];
    const output = { state: 'running', endpoints: [], topology: { services } };

    const since = { since: finished_at, restarts: 0, streak: 0 };
    expect(change('workload.compose_launch', params, { output })?.keep).toMatchObject({
      params: null,
      stack: {
        params,
        services: [
          { service: 'web', state: 'running', ...since },
          { service: 'db', state: 'stopped', ...since },
        ],
      },
    });
  });

  it('has each service as the result says it is, after a control of a stack; what nobody saw is as it was', () => {
    const kept = { since: 'before', restarts: 2, streak: 2 };
    const states = ['web', 'db', 'cache'].map((service) => ({ service, state: 'running', ...kept }) as const);
    const before = keptWorkload({ params: null, stack: { params: stackParams(), services: states } });
    const services = [
      { name: 'web', state: 'stopped' },
      { name: 'db', state: 'unknown' },
    ];

    const changed = change(
      'workload.compose_control',
      { action: 'stop' },
      { output: { state: 'stopped', topology: { services } } },
      before,
    );

    expect(changed?.keep?.stack?.services).toEqual([
      { ...states[0], state: 'stopped', since: finished_at, streak: 0 },
      { ...states[1], streak: 0 },
      { ...states[2], streak: 0 },
    ]);
  });

  it.each(['oci', 'compose'])('is nothing any more, after workload.%s_remove', (kind) => {
    expect(change(`workload.${kind}_remove`, { identity }, {})?.keep).toBeNull();
  });

  it('is nothing any more, after a launch that was undone or a remove', () => {
    const undone = change('workload.oci_launch', launchParams(), { status: 'failed', output: { cleanup } });
    const removed = change('workload.oci_remove', { identity }, {});

    expect([undone?.keep, removed?.keep]).toEqual([null, null]);
  });

  it('is what it was, after a launch that left alone what was at work, or was refused', () => {
    const kept = { ...cleanup, kept: ['container gpuaas-notebook-1'] };

    expect(
      change('workload.oci_launch', launchParams(), { status: 'failed', output: { cleanup: kept } }),
    ).toBeUndefined();
    expect(change('workload.oci_launch', launchParams(), { status: 'rejected', output: null })).toBeUndefined();
    expect(change('workload.oci_remove', { identity }, { status: 'failed' })).toBeUndefined();
  });

  it.each([
    ['stop', 'stopped', 'stopped'],
    ['start', 'running', 'running'],
    ['restart', 'running', 'running'],
  ])('is another wish, after a %s, with no restarts held against it', (action, desired, state) => {
    const before = keptWorkload({ streak: 3, restarts: 3 });

    const changed = change('workload.oci_control', { action }, { output: { state } }, before);

    expect(changed?.keep).toEqual({ ...before, desired, state, since: finished_at, fencing: 7, streak: 0 });
  });

  it.each([
    ['start', 'failed', { desired: 'running', state: 'failed', since: finished_at }],
    ['restart', 'stopped', { desired: 'running', state: 'stopped', since: finished_at }],
    ['restart', 'degraded', { desired: 'running', state: 'degraded', since: finished_at }],
    ['restart', 'unknown', { desired: 'running' }],
    ['stop', 'running', { desired: 'stopped' }],
  ])('is what a %s that failed says of it: %s', (action, state, changes) => {
    const before = keptWorkload({ streak: 3, restarts: 3 });

    const changed = change('workload.oci_control', { action }, { status: 'failed', output: { state } }, before);

    expect(changed?.keep).toEqual({ ...before, fencing: 7, streak: 0, ...changes });
  });

  it('is what it was, after an action that was refused or saw nothing of it', () => {
    const action = { action: 'restart' };

    expect(
      change('workload.oci_control', action, { status: 'rejected', output: { state: 'stopped' } }),
    ).toBeUndefined();
    expect(change('workload.oci_control', action, { status: 'failed', output: null })).toBeUndefined();
  });

  it('is not known of a task that only looks', () => {
    expect(change('workload.oci_runtime_status', {}, {})).toBeUndefined();
  });
});

describe('a proof that nothing should be left', () => {
  it('is the newest task that did something, and no refused one', () => {
    const removed = endedTask({ fencing: 5 });
    const refused = endedTask({ fencing: 6, type: 'workload.oci_control' }, { status: 'rejected' });

    expect(leftNothing([refused, removed], 5)).toBe(true);
    expect(leftNothing([refused, removed], 6)).toBe(false);
    expect(leftNothing([{ ...refused, result: null }, removed], 5)).toBe(false);
    expect(leftNothing([], 0)).toBe(false);
  });
});
