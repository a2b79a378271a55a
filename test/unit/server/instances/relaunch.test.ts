import { beforeEach, describe, expect, it } from 'vitest';
import type { FailureCode } from '../../../../src/contract/failures.ts';
import { failureOf, type LaunchBench, launchBench } from '../../../support/launch-bench.ts';
import { allocationId, aNode, anArtifact, aRequest } from '../../../support/launch-samples.ts';
import { anAllocation } from '../../../support/store-samples.ts';

let bench: LaunchBench;
beforeEach(async () => {
  bench = await launchBench();
});

async function failedLaunch(code: FailureCode = 'image.pull_failed', request = aRequest()): Promise<string> {
  const { id } = await bench.launch(request);
  await bench.endTaskOf(id, code);
  return id;
}

const launches = async (id: string) =>
  (await bench.store.read((tx) => tx.tasks.list({ where: { instance_id: id } }))).filter(
    ({ purpose }) => purpose === 'launch',
  );

describe('an instance whose launch failed', () => {
  it.each(['restart', 'start'] as const)(
    'is launched anew by %s: the same task under a higher fencing (X-12)',
    async (action) => {
      const id = await failedLaunch();

      expect(await bench.act(id, action)).toMatchObject({ state: 'deploying', desired: 'running', failure: null });
      const [first, second] = await launches(id);
      expect(second).toMatchObject({ type: 'workload.oci_launch', params: first?.params, state: 'queued' });
      expect(second?.fencing).toBeGreaterThan(first?.fencing ?? 0);

      await bench.endTaskOf(id, 'running');
      const { state, history } = await bench.instance(id);
      expect(state).toBe('running');
      expect(history.map((each) => each.state)).toEqual([
        ...['requested', 'deploying', 'failed', 'requested', 'deploying', 'running'],
      ]);
    },
  );

  it('may be launched anew as often as it fails', async () => {
    const id = await failedLaunch();
    for (let turn = 0; turn < 3; turn += 1) {
      await bench.act(id, 'restart');
      await bench.endTaskOf(id, 'readiness.timed_out');
    }

    expect(await bench.instance(id)).toMatchObject({ state: 'failed', failure: { code: 'readiness.timed_out' } });
    expect((await launches(id)).map(({ fencing }) => fencing)).toEqual([1, 2, 3, 4]);
  });

  it('is launched once, however often that is asked for', async () => {
    const id = await failedLaunch();

    await bench.act(id, 'restart');
    await expect(bench.act(id, 'restart')).rejects.toMatchObject({ code: 'instance.wrong_state' });

    expect(await launches(id)).toHaveLength(2);
  });

  it('waits for its host to say what it can run, where that is long ago', async () => {
    const id = await failedLaunch();
    await bench.clock.advance(60_000);

    expect(await bench.act(id, 'restart')).toMatchObject({ state: 'requested' });
    await bench.answerPreflight({ ready: true, reasons: [] });

    expect(await bench.instance(id)).toMatchObject({ state: 'deploying' });
  });

  it('has nothing that could be stopped, and says what can be done instead', async () => {
    const id = await failedLaunch();

    const stopping = bench.act(id, 'stop');

    await expect(stopping).rejects.toMatchObject({
      code: 'instance.wrong_state',
      detail: { reason: expect.stringContaining('restart launches it anew') },
    });
    expect(await bench.openTasks()).toEqual([]);
  });

  it('stays as it is where something stands against a launch', async () => {
    const id = await failedLaunch();
    await bench.store.write((tx) => tx.artifacts.put({ ...anArtifact(), trust: 'revoked' }));

    await expect(bench.act(id, 'restart')).rejects.toMatchObject({ code: 'launch.artifact_untrusted' });

    expect(await bench.instance(id)).toMatchObject({ state: 'failed', failure: { code: 'image.pull_failed' } });
    expect(await launches(id)).toHaveLength(1);
  });

  it('is not launched on a host that cannot open its secrets', async () => {
    const id = await failedLaunch();
    await bench.store.write(async (tx) => {
      await tx.nodes.insert(aNode({ id: 'node-2' }));
      await tx.allocations.put(anAllocation({ id: allocationId, node_id: 'node-2' }));
    });

    await expect(bench.act(id, 'restart')).rejects.toMatchObject({ code: 'launch.node_unavailable' });
  });

  it('is taken away from its host also while it waits to be launched anew', async () => {
    const id = await failedLaunch();
    await bench.clock.advance(60_000);
    await bench.act(id, 'restart');

    expect(await bench.act(id, 'decommission')).toMatchObject({ state: 'decommissioning' });
  });
});

it('an instance that its host has lost is launched anew by restart', async () => {
  const { id } = await bench.running();
  await bench.report({ kind: 'topology', body: { at: '2026-11-25T12:00:03Z', workloads: [] } });

  expect(await bench.act(id, 'restart')).toMatchObject({ state: 'deploying' });
  expect(await launches(id)).toHaveLength(2);
});

it('an instance whose container ended is restarted where it is', async () => {
  const { id } = await bench.running();
  await bench.report({
    kind: 'event',
    body: {
      ...{ workload_id: id, source: 'supervisor', state: 'failed', failure: failureOf('container.exited') },
      event: { time: '2026-11-25T12:00:02Z', type: 'container.exited', phase: null, message: 'It ended.', values: {} },
    },
  });

  expect(await bench.act(id, 'restart')).toMatchObject({ state: 'restarting' });
  expect(await bench.openTasks()).toMatchObject([{ type: 'workload.oci_control' }]);
});
