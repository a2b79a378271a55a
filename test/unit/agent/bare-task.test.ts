import { describe, expect, it } from 'vitest';
import { changesHost, envelopeOf, isBare } from '../../../src/agent/bare-task.ts';
import { TaskEnvelope } from '../../../src/contract/task-envelope.ts';
import { judge } from '../../../src/contract/validate.ts';
import { hostPolicy, identity, launchParams } from '../../support/task-bench.ts';

const control = { type: 'workload.oci_control', params: { identity, action: 'stop', grace_seconds: 1 } };
const launch = { type: 'workload.oci_launch', params: launchParams() };

function filled(document: object, fencing: (id: string) => number = () => 8) {
  return envelopeOf(document, { policy: hostPolicy, taskId: 'task-1', fencing });
}

describe('a bare task', () => {
  it.each([
    [{ type: 'workload.oci_launch', params: {} }, true],
    [{}, true],
    [{ task_id: 'task-1', type: 'workload.oci_launch' }, false],
    [[], false],
    [null, false],
    ['workload.oci_launch', false],
  ])('%j: %s', (document, bare) => {
    expect(isBare(document)).toBe(bare);
  });

  it('becomes an envelope for this host, with the next fencing of its workload', async () => {
    const asked: string[] = [];

    const envelope = await filled(launch, (id) => {
      asked.push(id);
      return 8;
    });

    expect(judge(TaskEnvelope, envelope).ok).toBe(true);
    expect(envelope).toMatchObject({
      ...{ task_id: 'task-1', node_id: 'node-1', allocation_id: 'alloc-1', workload_id: 'notebook-1', fencing: 8 },
      ...launch,
    });
    expect(asked).toEqual(['notebook-1']);
  });

  it('keeps what it says itself', async () => {
    expect(await filled({ ...launch, fencing: 3, trace_id: 'mine' })).toMatchObject({ fencing: 3, trace_id: 'mine' });
  });

  it.each([
    ['of no workload', { type: 'workload.oci_runtime_status', params: {} }],
    ['whose params are wrong', { type: 'workload.oci_launch', params: { ...launchParams(), privileged: true } }],
    ['of an unknown type', { type: 'workload.vm_launch', params: launchParams() }],
    ['that inherits its type', { type: 'constructor', params: launchParams() }],
  ])('%s asks for nobody’s fencing', async (_what, document) => {
    const envelope = await filled(document, () => {
      throw new Error('nobody was to be asked');
    });

    expect(envelope).toMatchObject({ workload_id: 'host', fencing: 0 });
  });
});

describe('a document that changes the host', () => {
  it('is a good one of a task that does: bare, or in its envelope', async () => {
    expect([changesHost(launch), changesHost(control), changesHost(await filled(control))]).toEqual([true, true, true]);
  });

  it.each([
    ['one that only looks', { type: 'workload.oci_runtime_status', params: {} }],
    ['one whose params are wrong', { ...control, params: {} }],
    ['an unknown type', { ...control, type: 'workload.vm_launch' }],
    ['a broken envelope', { task_id: 'task-1', ...control }],
    ['no object', null],
  ])('is not %s', (_what, document) => {
    expect(changesHost(document)).toBe(false);
  });
});
