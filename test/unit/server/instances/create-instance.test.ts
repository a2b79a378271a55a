import { beforeEach, describe, expect, it } from 'vitest';
import { AgentError } from '../../../../src/contract/failures.ts';
import { type LaunchBench, launchBench } from '../../../support/launch-bench.ts';
import { allocationId, aNode, anArtifact, aRequest, imageDigest, inventory } from '../../../support/launch-samples.ts';

let bench: LaunchBench;
beforeEach(async () => {
  bench = await launchBench();
});

const oneCard = (port: number) => aRequest({ config: { host_port: port }, resource_overrides: { gpu_count: 1 } });

describe('a launch on a node that has just said that it is ready', () => {
  it('is a task for the node of its allocation and `deploying`, in one transaction (G-120, G-165)', async () => {
    await bench.store.write((tx) => tx.nodes.insert(aNode({ id: 'node-0', allocation_id: 'another' })));
    const instance = await bench.launch();

    expect(instance).toMatchObject({
      state: 'deploying',
      desired: 'running',
      node_id: 'node-1',
      host_ports: { web: 8888 },
    });
    expect(await bench.openTasks()).toMatchObject([
      {
        id: instance.current_task_id,
        type: 'workload.oci_launch',
        ...{ purpose: 'launch', node_id: 'node-1', workload_id: instance.id, instance_id: instance.id, fencing: 1 },
        params: { identity: { app_instance_id: instance.id, project_id: 'p1' } },
      },
    ]);
    expect(await bench.events(instance.id)).toEqual(['apps.instance.requested', 'apps.instance.deploying']);
  });

  it('is kept with what was chosen for it and the states it went through (G-18)', async () => {
    const { id } = await bench.launch();

    expect(await bench.instance(id)).toMatchObject({
      ...{ app_slug: 'jupyterlab', app_version: '2026.04-preview', artifact_id: 'artifact-cpu' },
      ...{ allocation_id: allocationId, image_digest: imageDigest },
      history: [{ state: 'requested' }, { state: 'deploying' }],
    });
  });

  it('keeps secrets only as the node can read them (G-210)', async () => {
    const { sealed_files } = await bench.launch();

    expect(Object.keys(sealed_files)).toEqual(['/run/secrets/web-token']);
    expect(Object.values(sealed_files)[0]).toMatch(/^[A-Za-z0-9_-]+\.\.[A-Za-z0-9_.-]+$/);
  });

  it('counts for the next one: of two for one card, one is accepted (G-167)', async () => {
    const [first, second] = await Promise.allSettled([bench.launch(oneCard(9001)), bench.launch(oneCard(9002))]);

    expect([first.status, second.status].sort()).toEqual(['fulfilled', 'rejected']);
    const lost = [first, second].find((one) => one.status === 'rejected');
    expect(lost).toMatchObject({ reason: { code: 'launch.resources_exceed_allocation' } });
    expect(await bench.openTasks()).toHaveLength(1);
  });

  it('says to whom its use is attributed (G-136)', async () => {
    const { billing } = await bench.launch(oneCard(9001));

    expect(billing).toMatchObject({ project_id: 'p1', gpu_count: 1, periods: [] });
  });
});

describe('a launch on a node that nobody has asked lately', () => {
  beforeEach(async () => {
    await bench.clock.advance(31_000);
  });

  it('waits as `requested` for the answer of the node, then deploys (G-195)', async () => {
    const asked = await bench.launch();

    expect(asked.state).toBe('requested');
    expect(await bench.openTasks()).toMatchObject([{ type: 'workload.oci_runtime_status', purpose: 'preflight' }]);
    await bench.answerPreflight();
    expect(await bench.instance(asked.id)).toMatchObject({ state: 'deploying' });
    expect(await bench.openTasks()).toMatchObject([{ type: 'workload.oci_launch', purpose: 'launch' }]);
  });

  it('asks as well where the node has just said that it is not ready: a gate is restarted in a second (FAULTS 36)', async () => {
    const { runtime } = aNode();
    const away = await launchBench({
      node: { runtime: { ...runtime, ready: false, reasons: ['No engine.'] } as never },
    });

    const { id, state } = await away.launch();

    expect(state).toBe('requested');
    await away.answerPreflight();
    expect(await away.instance(id)).toMatchObject({ state: 'deploying' });
  });

  it('asks as well where the answer is from a time that is not there yet: somebody has set the clock (FAULTS 20)', async () => {
    bench.clock.setWall(Date.parse('2026-11-24T12:00:00Z'));

    expect((await bench.launch()).state).toBe('requested');
  });

  it('shares the question with other launches that wait', async () => {
    const first = await bench.launch();
    const second = await bench.launch(aRequest({ config: { host_port: 9000 } }));

    expect(await bench.openTasks()).toHaveLength(1);
    await bench.answerPreflight();
    expect((await bench.instance(first.id)).state).toBe('deploying');
    expect((await bench.instance(second.id)).state).toBe('deploying');
  });

  it('fails where the node has no runtime that is ready (G-195)', async () => {
    const { id } = await bench.launch();

    await bench.answerPreflight({ ready: false, reasons: ['docker is not running.'] });

    expect(await bench.instance(id)).toMatchObject({
      state: 'failed',
      failure: { code: 'launch.runtime_not_ready', message: expect.stringContaining('docker is not running.') },
    });
    expect(await bench.openTasks()).toEqual([]);
  });

  it('fails where the node does not answer in time: every accepted launch ends (FAULTS 34)', async () => {
    const { id } = await bench.launch();

    await bench.clock.advance(61_000);
    await bench.store.write((tx) => bench.queue.expire(tx));

    expect(await bench.instance(id)).toMatchObject({ state: 'failed', failure: { code: 'launch.node_unavailable' } });
  });

  it('fails where the node goes away with the question, whose late answer changes nothing (FAULTS 34)', async () => {
    const { id } = await bench.launch();

    await bench.presence('away');
    expect(await bench.instance(id)).toMatchObject({ state: 'failed', failure: { code: 'launch.node_unavailable' } });
    await bench.answerPreflight();

    expect((await bench.instance(id)).state).toBe('failed');
    expect(await bench.openTasks()).toEqual([]);
  });

  it('is checked again when the answer is there: what was revoked meanwhile is not launched', async () => {
    const { id } = await bench.launch();
    await bench.store.write((tx) => tx.artifacts.put(anArtifact({ trust: 'revoked' })));

    await bench.answerPreflight();

    expect(await bench.instance(id)).toMatchObject({ state: 'failed', failure: { code: 'launch.artifact_untrusted' } });
    expect(await bench.openTasks()).toEqual([]);
  });

  it('ends at once where it is given up before the node has seen anything of it', async () => {
    const { id } = await bench.launch();

    expect(await bench.act(id, 'decommission')).toMatchObject({ state: 'decommissioned', sealed_files: {} });
    await bench.answerPreflight();
    expect((await bench.instance(id)).state).toBe('decommissioned');
    expect(await bench.openTasks()).toEqual([]);
  });
});

describe('a launch that is refused', () => {
  it('leaves nothing behind (G-116)', async () => {
    await expect(bench.launch(aRequest({ resource_overrides: { gpu_count: 8 } }))).rejects.toBeInstanceOf(AgentError);

    expect(await bench.openTasks()).toEqual([]);
    expect(await bench.store.read((tx) => tx.app_instances.count())).toBe(0);
    expect(await bench.store.read((tx) => tx.events.range())).toEqual({ first: 0, last: 0 });
  });

  it('is so while the switch is off, without a task (G-163)', async () => {
    const closed = await launchBench({ launchEnabled: false });

    await expect(closed.launch()).rejects.toMatchObject({ code: 'launch.adapter_not_enabled' });
    expect(await closed.openTasks()).toEqual([]);
  });

  it.each([
    ['is draining', { drain: true }],
    ['drains because somebody on the host wants it', { inventory: inventory({ draining: true }) }],
    ['was revoked', { status: 'revoked' }],
    ['is in quarantine', { status: 'quarantined' }],
    ['cannot carry out launches', { task_types: [{ type: 'workload.oci_runtime_status', version: 1 }] }],
  ] as const)('is so on a node that %s (G-141, G-142)', async (_what, given) => {
    await bench.store.write((tx) => tx.nodes.put(aNode(given as Parameters<typeof aNode>[0])));

    await expect(bench.launch()).rejects.toMatchObject({ code: 'launch.node_unavailable' });
  });

  it('is so on an allocation that no host has enrolled for', async () => {
    const empty = await launchBench({ allocation: { node_id: null } });

    await expect(empty.launch()).rejects.toMatchObject({ code: 'launch.node_unavailable' });
  });
});
