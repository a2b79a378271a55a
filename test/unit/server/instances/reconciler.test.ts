import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { AgentError } from '../../../../src/contract/failures.ts';
import { type WorkloadState, workloadStates } from '../../../../src/contract/workload-state.ts';
import { decommission } from '../../../../src/server/instances/actions.ts';
import { releasing } from '../../../../src/server/resources/release-allocation.ts';
import { failureOf, type LaunchBench, launchBench, workloadOutput } from '../../../support/launch-bench.ts';
import { allocationId, aNode, anArtifact, aRequest } from '../../../support/launch-samples.ts';

let bench: LaunchBench;
beforeEach(async () => {
  bench = await launchBench();
});

function eventsOf({ store }: LaunchBench, id: string) {
  return store.read((tx) => tx.events.list({ subject_id: id, after: 0, limit: 100 }));
}

async function lastEvent(bench: LaunchBench, id: string) {
  return (await eventsOf(bench, id)).at(-1);
}

function event(workload_id: string | null, type: string, state: 'failed' | 'running' | 'degraded' | null) {
  return {
    kind: 'event' as const,
    body: {
      ...{
        workload_id,
        source: 'supervisor' as const,
        state,
        failure: state === 'failed' ? failureOf('container.exited') : null,
      },
      event: {
        time: '2026-11-25T12:00:02Z',
        type,
        phase: null,
        message: 'Something happened.',
        values: { exit_code: 1 },
      },
    },
  };
}

function topology(workloads: readonly { workload_id: string; state: WorkloadState }[]) {
  const at = '2026-11-25T12:00:03Z';
  const facts = { project_id: 'p1', allocation_id: allocationId, fencing: 1, endpoints: [], restarts: 2, since: at };
  return { kind: 'topology' as const, body: { at, workloads: workloads.map((each) => ({ ...facts, ...each })) } };
}

describe('the result of a launch', () => {
  it('makes the instance run, with its member, its endpoints and its time counted (G-19, G-124 to G-126, G-166)', async () => {
    const instance = await bench.running();

    expect(instance).toMatchObject({
      ...{ state: 'running', failure: null },
      members: [{ name: 'main', node_id: 'node-1', state: 'running', status: { container_id: 'c1' } }],
      endpoints: [{ name: 'web', port: 8888, host: '127.0.0.1' }],
      billing: { periods: [{ started_at: '2026-11-25T12:00:00.000Z', stopped_at: null }] },
    });
    expect(instance.history.map(({ state }) => state)).toEqual(['requested', 'deploying', 'running']);
    expect((await bench.events(instance.id)).at(-1)).toBe('apps.instance.running');
  });

  it('fails the instance with the reason of the node', async () => {
    const { id } = await bench.launch();

    await bench.endTaskOf(id, 'readiness.timed_out');

    expect(await bench.instance(id)).toMatchObject({
      ...{ state: 'failed', failure: { code: 'readiness.timed_out' }, endpoints: [] },
      billing: { periods: [] },
    });
  });

  it('counts once, however often it comes (G-166)', async () => {
    const { id, current_task_id } = await bench.running();
    const before = await bench.events(id);

    await bench.end({ id: current_task_id ?? '' }, { status: 'failed', failure: failureOf('internal') });

    expect((await bench.instance(id)).state).toBe('running');
    expect(await bench.events(id)).toEqual(before);
  });

  it('shows no endpoint that was not asked for (G-207)', async () => {
    const { id, current_task_id, host_ports } = await bench.launch();
    const output = workloadOutput({ id, host_ports: { ...host_ports, shell: 2222 } }, 'running');

    await bench.end({ id: current_task_id ?? '' }, { output });

    const { endpoints, members } = await bench.instance(id);
    expect(endpoints.map(({ name }) => name)).toEqual(['web']);
    expect(members[0]?.endpoints).toEqual(endpoints);
    expect(await bench.events(id)).toContain('apps.instance.undeclared_endpoint');
  });

  it('shows an endpoint once and at our address, whatever address the node says (G-207)', async () => {
    const { id, current_task_id, host_ports } = await bench.launch();
    const output = workloadOutput({ id, host_ports }, 'running');
    const lies = output.endpoints.map((endpoint) => ({ ...endpoint, url: 'https://login.example/?next=\n' }));

    await bench.end({ id: current_task_id ?? '' }, { output: { ...output, endpoints: [...lies, ...lies] } });

    const { endpoints } = await bench.instance(id);
    expect(endpoints.map(({ url }) => url)).toEqual([`http://127.0.0.1:${host_ports['web']}/`]);
  });
});

describe('the output of a package installation', () => {
  it('is an event of the instance, bounded and without what looks like a credential (G-237)', async () => {
    const { id, current_task_id, host_ports } = await bench.launch();
    const output = workloadOutput({ id, host_ports }, 'running');
    const packages_excerpt = `${'x'.repeat(5000)}\nLooking at https://me:hunter2@index.example\nInstalled <b>numpy</b>`;

    await bench.end(
      { id: current_task_id ?? '' },
      { output: { ...output, adapter: { ...output.adapter, packages_excerpt } } },
    );

    expect((await bench.events(id)).slice(-2)).toEqual(['apps.instance.packages', 'apps.instance.running']);
    const { message, data } = (await eventsOf(bench, id)).at(-2) ?? {};
    expect(message).toBe('Packages were installed.');
    expect(data).toEqual({
      task_id: current_task_id,
      excerpt: expect.stringMatching(/^x+\n.*\nInstalled <b>numpy<\/b>$/),
    });
    expect(data?.['excerpt']).toHaveLength(4096);
    expect(JSON.stringify(data)).not.toContain('hunter2');
  });

  it('is told as well where it is why the launch failed, before the failure (G-237)', async () => {
    const { id, current_task_id } = await bench.launch();
    const failure = new AgentError('packages.failed', {
      exit_code: 1,
      excerpt: 'No matching distribution',
    }).toFailure();

    await bench.end({ id: current_task_id ?? '' }, { status: 'failed', failure });

    expect((await bench.events(id)).slice(-2)).toEqual(['apps.instance.packages', 'apps.instance.failed']);
    expect((await eventsOf(bench, id)).at(-2)).toMatchObject({
      message: 'Packages could not be installed.',
      data: { task_id: current_task_id, excerpt: 'No matching distribution' },
    });
  });

  it('is not told where nothing was installed', async () => {
    const { id } = await bench.running();

    expect(await bench.events(id)).not.toContain('apps.instance.packages');
  });
});

describe('an action', () => {
  it.each([
    ['stop', 'stopping', 'stopped', 'stopped'],
    ['restart', 'restarting', 'running', 'running'],
  ] as const)('%s goes by %s to %s', async (action, via, reported, to) => {
    const { id } = await bench.running();

    expect(await bench.act(id, action)).toMatchObject({ state: via });
    await bench.endTaskOf(id, reported);

    expect((await bench.instance(id)).state).toBe(to);
  });

  it('counts the time between start and stop, and again from the next start', async () => {
    const { id } = await bench.running();
    await bench.clock.advance(60_000);
    await bench.act(id, 'stop');
    await bench.endTaskOf(id, 'stopped');
    await bench.clock.advance(60_000);
    await bench.act(id, 'start');
    await bench.endTaskOf(id, 'running');

    expect((await bench.instance(id)).billing.periods).toEqual([
      { started_at: '2026-11-25T12:00:00.000Z', stopped_at: '2026-11-25T12:01:00.000Z' },
      { started_at: '2026-11-25T12:02:00.000Z', stopped_at: null },
    ]);
  });

  it.each(['stop', 'restart', 'decommission'] as const)(
    '%s can be followed by the id of its own request (X-9)',
    async (action) => {
      const { id } = await bench.running();

      await bench.act(id, action);

      expect(await bench.openTasks()).toMatchObject([{ trace_id: 'trace-2', purpose: action }]);
      const events = await bench.store.read((tx) => tx.events.list({ subject_id: id, after: 0, limit: 100 }));
      const [asked, newest] = [events.at(0), events.at(-1)];
      expect([asked?.correlation_id, newest?.correlation_id]).toEqual(['trace-1', 'trace-2']);
    },
  );

  it('that is done already or under way is left alone', async () => {
    const { id } = await bench.running();

    expect((await bench.act(id, 'start')).state).toBe('running');
    await bench.act(id, 'stop');
    expect((await bench.act(id, 'stop')).state).toBe('stopping');
    expect(await bench.openTasks()).toHaveLength(1);
    await expect(bench.act(id, 'start')).rejects.toMatchObject({ code: 'instance.wrong_state' });
  });

  it('that failed leaves the instance as it was, with the reason', async () => {
    const { id } = await bench.running();
    await bench.act(id, 'stop');

    await bench.endTaskOf(id, 'engine.timed_out');

    expect(await bench.instance(id)).toMatchObject({ state: 'running', failure: { code: 'engine.timed_out' } });
  });

  it.each(['failed', 'stopped', 'degraded'] as const)(
    'restart that failed leaves the instance %s, as its host says from then on',
    async (state) => {
      const { id } = await bench.running();
      const { current_task_id } = await bench.act(id, 'restart');
      const failure = failureOf('container.exited');
      const output = workloadOutput(await bench.instance(id), state, { failure });

      await bench.end({ id: current_task_id ?? '' }, { status: 'failed', failure, output });
      const before = await bench.instance(id);
      await bench.report(topology([{ workload_id: id, state }]));

      expect(before).toMatchObject({ state, failure: { code: 'container.exited' } });
      expect((await bench.instance(id)).history).toEqual(before.history);
    },
  );

  it('that found no container has failed at once, and restart launches anew', async () => {
    const { id } = await bench.running();
    await bench.act(id, 'restart');

    await bench.endTaskOf(id, 'container.not_found');

    expect(await bench.instance(id)).toMatchObject({ state: 'failed', failure: { code: 'container.not_found' } });
    expect((await bench.act(id, 'restart')).state).toBe('deploying');
  });

  it('start is refused where another instance has taken the memory (G-114)', async () => {
    const shape = { gpu_count: 1, cpu_cores: 8, memory_gib: 12 };
    const crowded = await launchBench({ allocation: { shape } });
    const large = (host_port: number) =>
      aRequest({ config: { host_port }, resource_overrides: { memory_gib: 8, gpu_count: 0 } });
    const { id } = await crowded.running(large(9001));
    await crowded.act(id, 'stop');
    await crowded.endTaskOf(id, 'stopped');
    await crowded.launch(large(9002));

    const refused = await crowded.act(id, 'start').catch((error: AgentError) => error.toFailure());
    expect(refused).toMatchObject({
      code: 'launch.resources_exceed_allocation',
      hint: expect.stringMatching(/^Stop another instance .*, or launch the app with less/),
    });
  });

  it.each(['start', 'restart'] as const)(
    '%s is refused where the image was revoked, and what runs goes on',
    async (action) => {
      const { id } = await bench.running();
      if (action === 'start') {
        await bench.act(id, 'stop');
        await bench.endTaskOf(id, 'stopped');
      }
      const before = await bench.instance(id);
      await bench.store.write((tx) => tx.artifacts.put(anArtifact({ trust: 'revoked' })));

      const refused = await bench.act(id, action).catch((error: AgentError) => error.toFailure());

      expect(refused).toMatchObject({
        ...{ code: 'launch.artifact_untrusted', message: expect.stringContaining('It was revoked.') },
        hint: expect.stringContaining('launch the app from another artifact'),
      });
      expect(await bench.instance(id)).toEqual(before);
      expect(await bench.openTasks()).toEqual([]);
    },
  );

  it.each(['deprecated', 'retired'] as const)(
    'start is let where the image is %s: it was launched before',
    async (lifecycle) => {
      const { id } = await bench.running();
      await bench.act(id, 'stop');
      await bench.endTaskOf(id, 'stopped');
      await bench.store.write((tx) => tx.artifacts.put(anArtifact({ lifecycle })));

      expect(await bench.act(id, 'start')).toMatchObject({ state: 'starting' });
    },
  );

  it('stop leaves the card with it: its container holds it until it is removed (G-114)', async () => {
    const card = (host_port: number) => aRequest({ config: { host_port }, resource_overrides: { gpu_count: 1 } });
    const { id } = await bench.running(card(9001));
    await bench.act(id, 'stop');
    await bench.endTaskOf(id, 'stopped');

    await expect(bench.launch(card(9002))).rejects.toMatchObject({ code: 'launch.resources_exceed_allocation' });
    await bench.act(id, 'start');
    expect(await bench.instance(id)).toMatchObject({ state: 'starting' });
  });
});

describe('decommission', () => {
  it('ends with what was removed, and forgets the secrets (G-130)', async () => {
    const { id } = await bench.running();

    expect((await bench.act(id, 'decommission')).state).toBe('decommissioning');
    await bench.endTaskOf(id, 'removed');

    expect(await bench.instance(id)).toMatchObject({
      ...{ state: 'decommissioned', endpoints: [], sealed_files: {} },
      cleanup: { removed: [`container gpuaas-${id}`] },
      billing: { periods: [{ stopped_at: '2026-11-25T12:00:00.000Z' }] },
    });
  });

  it('gives up a launch that is on its way, whose result then changes nothing', async () => {
    const { id, current_task_id } = await bench.launch();

    await bench.act(id, 'decommission');

    expect(await bench.openTasks()).toMatchObject([{ type: 'workload.oci_remove', fencing: 2 }]);
    expect(await bench.instance(id)).toMatchObject({ state: 'decommissioning' });
    expect(await bench.store.read((tx) => tx.tasks.get(current_task_id ?? ''))).toMatchObject({ state: 'ended' });
  });

  it('that left something behind has failed, and can be asked for again', async () => {
    const { id } = await bench.running();
    const { current_task_id } = await bench.act(id, 'decommission');
    const cleanup = { removed: [], kept: [], failed: ['folder /home/x: busy'] };
    await bench.end(
      { id: current_task_id ?? '' },
      { output: { ...workloadOutput(await bench.instance(id), 'failed'), cleanup } },
    );

    expect(await bench.instance(id)).toMatchObject({ state: 'failed', cleanup: { failed: ['folder /home/x: busy'] } });
    await bench.act(id, 'decommission');
    await bench.endTaskOf(id, 'removed');
    expect((await bench.instance(id)).state).toBe('decommissioned');
  });

  it('that failed stays so while the host says that it runs on, and can be asked for again', async () => {
    const { id } = await bench.running();
    await bench.act(id, 'decommission');
    await bench.endTaskOf(id, 'engine.unavailable');

    await bench.report(topology([{ workload_id: id, state: 'running' }]));

    expect((await bench.instance(id)).state).toBe('failed');
    expect((await bench.act(id, 'decommission')).state).toBe('decommissioning');
  });

  it('that failed is tried again when the host is back', async () => {
    const { id } = await bench.running();
    await bench.act(id, 'decommission');
    await bench.endTaskOf(id, 'engine.unavailable');

    await bench.presence('back');

    expect((await bench.instance(id)).state).toBe('decommissioning');
  });

  it('of an instance whose host was revoked ends at once and says what may be left', async () => {
    const { id } = await bench.running();
    await bench.store.write((tx) => tx.nodes.put(aNode({ status: 'revoked' })));

    expect(await bench.act(id, 'decommission')).toMatchObject({
      state: 'decommissioned',
      cleanup: { failed: [expect.stringContaining('gone for good')] },
    });
  });

  it('of an instance whose host is in quarantine waits for the host: its container is still there', async () => {
    const { id } = await bench.running();
    await bench.store.write((tx) => tx.nodes.put(aNode({ status: 'quarantined' })));

    await bench.act(id, 'decommission');

    expect(await bench.instance(id)).toMatchObject({ state: 'decommissioning', cleanup: null });
    expect(await bench.openTasks()).toMatchObject([{ type: 'workload.oci_remove' }]);
  });

  it('of the last instance ends an allocation that is being released', async () => {
    const { id } = await bench.running();
    const cause = { now: bench.clock.wallMs(), correlationId: 'c1', who: { actor: 'token:t' } };
    const release = releasing(async (tx, why, instance) => {
      await decommission(tx, bench.queue, why, instance, true);
    }, bench.queue);
    const state = () => bench.store.read(async (tx) => (await tx.allocations.get(allocationId))?.state);
    await bench.store.write(async (tx) => {
      const allocation = await tx.allocations.get(allocationId);
      return allocation && release(tx, cause, allocation);
    });

    expect(await state()).toBe('releasing');
    await bench.endTaskOf(id, 'removed');
    expect(await state()).toBe('ended');
  });
});

describe('the end of an allocation whose data is to be wiped', () => {
  const allocation = async () => await bench.store.read((tx) => tx.allocations.get(allocationId));
  const wipes = async () => (await bench.openTasks()).filter(({ type }) => type === 'agent.wipe');
  const told = async () => (await eventsOf(bench, allocationId)).map(({ type }) => type);
  const wiped = { containers: 0, removed: ['/home/tenant/gpuaas/workloads/x'], kept: [] };

  async function end(): Promise<void> {
    const cause = { now: bench.clock.wallMs(), correlationId: 'c1', who: { actor: 'token:t' } };
    const release = releasing(async (tx, why, instance) => {
      await decommission(tx, bench.queue, why, instance, false);
    }, bench.queue);
    await bench.store.write(async (tx) => {
      const present = await tx.allocations.get(allocationId);
      if (present) await release(tx, cause, present);
    });
  }

  async function finish(how: 'succeeded' | 'failed'): Promise<void> {
    const [task] = await wipes();
    if (!task) throw new Error('no wipe was asked for');
    const at = new Date(bench.clock.wallMs()).toISOString();
    await bench.store.write((tx) =>
      bench.queue.finish(tx, task, {
        ...{ task_id: task.id, status: how, started_at: at, finished_at: at },
        ...(how === 'succeeded'
          ? { output: wiped, failure: null }
          : { output: null, failure: failureOf('engine.unavailable') }),
      }),
    );
  }

  beforeEach(async () => {
    await bench.store.write(async (tx) => {
      const present = await tx.allocations.get(allocationId);
      if (present) await tx.allocations.put({ ...present, data_policy: 'wipe', node_id: aNode().id });
    });
  });

  it('comes with the word of its host that nothing is left, which is on record', async () => {
    const { id } = await bench.running();
    await end();
    expect(await wipes()).toEqual([]);
    await bench.endTaskOf(id, 'removed');

    expect(await allocation()).toMatchObject({ state: 'releasing', wipe: { state: 'asked' } });
    await finish('succeeded');

    expect(await allocation()).toMatchObject({ state: 'ended', wipe: { state: 'done' } });
    expect(await told()).toEqual(['allocation.releasing', 'allocation.wiped', 'allocation.ended']);
    const [, evidence] = await eventsOf(bench, allocationId);
    expect(evidence?.data).toMatchObject({ node_id: aNode().id, folders: 1, removed: wiped.removed, kept: [] });
  });

  it('waits where the wipe failed, and asks again when the host is back, or is told to end once more', async () => {
    await end();
    await finish('failed');
    expect(await allocation()).toMatchObject({ state: 'releasing', wipe: { state: 'failed' } });
    expect(await wipes()).toEqual([]);

    await bench.presence('back');
    expect(await wipes()).toHaveLength(1);
    await finish('failed');
    await end();
    await end();
    expect(await wipes()).toHaveLength(1);
    await finish('succeeded');

    expect((await allocation())?.state).toBe('ended');
  });

  it('says that nothing was wiped where the host was revoked before', async () => {
    await end();
    await bench.store.write(async (tx) => {
      await tx.nodes.put(aNode({ status: 'revoked' }));
      await bench.queue.abandon(tx, aNode().id, failureOf('node.revoked'));
    });

    expect((await allocation())?.state).toBe('ended');
    expect((await eventsOf(bench, allocationId)).at(-1)).toMatchObject({
      ...{ type: 'allocation.ended', data: { wiped: false } },
      message: expect.stringContaining('may be there still'),
    });
  });
});

it('a removal that failed is asked for again as it was: data that was to go is not kept by it', async () => {
  const { id } = await bench.running();
  await bench.act(id, 'decommission');
  await bench.endTaskOf(id, 'engine.unavailable');

  await bench.presence('back');

  expect(await bench.openTasks()).toMatchObject([{ type: 'workload.oci_remove', params: { keep_data: false } }]);
});

describe('what a node reports between tasks', () => {
  it('fails an instance whose container ended, and lets it run again', async () => {
    const { id } = await bench.running();

    await bench.report(event(id, 'container.exited', 'failed'));
    expect(await bench.instance(id)).toMatchObject({ state: 'failed', failure: { code: 'container.exited' } });

    await bench.report(event(id, 'workload.restarted', 'running'));
    expect(await bench.instance(id)).toMatchObject({ state: 'running', failure: null });
  });

  it.each(['degraded', 'stopped'] as const)('is what an instance is that had failed, also %s', async (state) => {
    const { id } = await bench.running();
    await bench.report(topology([]));

    await bench.report(topology([{ workload_id: id, state }]));

    expect((await bench.instance(id)).state).toBe(state);
  });

  it('does not overrule a task that is at work', async () => {
    const { id } = await bench.running();
    await bench.act(id, 'stop');

    await bench.report(event(id, 'container.exited', 'failed'));

    expect((await bench.instance(id)).state).toBe('stopping');
    expect(await bench.events(id)).toContain('apps.instance.reported');
  });

  it('becomes events of the instance, in order, with the phase as summary (G-5, G-129, G-143)', async () => {
    const { id } = await bench.launch();
    const progress = (type: string, message: string) => ({
      kind: 'task.progress' as const,
      body: {
        ...{ workload_id: id, task_id: 't1' },
        event: { time: '2026-11-25T12:00:01Z', type, phase: 'pulling' as const, message, values: {} },
      },
    });

    await bench.report(progress('phase.entered', 'Pulling the image.'));
    await bench.report(progress('image.progress', '1 of 2 layers.'));

    expect((await bench.events(id)).slice(-2)).toEqual(['apps.instance.phase', 'apps.instance.progress']);
    expect((await lastEvent(bench, id))?.data).toMatchObject({ phase: 'pulling', task_id: 't1' });
    expect((await bench.instance(id)).summary).toBe('Pulling the image.');
  });

  it('finds out that a container is gone (drift)', async () => {
    const { id } = await bench.running();

    await bench.report(topology([]));

    expect(await bench.instance(id)).toMatchObject({ state: 'failed', failure: { code: 'container.not_found' } });
  });

  it('keeps members up to date where nothing else changes', async () => {
    const { id } = await bench.running();

    await bench.report(topology([{ workload_id: id, state: 'running' }]));

    expect((await bench.instance(id)).members).toMatchObject([{ state: 'running', restarts: 2 }]);
  });

  it('says nothing about instances of other nodes', async () => {
    const { id } = await bench.running();
    await bench.store.write(async (tx) => {
      await tx.nodes.insert(aNode({ id: 'node-2' }));
      const other = await tx.nodes.get('node-2');
      if (other)
        await bench.sink.recorded(tx, other, {
          ...event(id, 'container.exited', 'failed'),
          at: '2026-11-25T12:00:00Z',
        });
    });

    expect((await bench.instance(id)).state).toBe('running');
  });

  it('about the host itself is an event that projects do not see', async () => {
    await bench.report(event(null, 'disk.low', null));

    expect(await bench.store.read((tx) => tx.events.list({ after: 0, limit: 9 }))).toMatchObject([
      { type: 'node.reported', project_id: null, subject: { kind: 'node', id: 'node-1' } },
    ]);
  });

  it('keeps the last samples of an instance in memory (G-128)', async () => {
    const { id } = await bench.running();
    const sample = {
      cpu_seconds: 1,
      cpu_cores: 0.5,
      memory_bytes: 5,
      memory_limit_bytes: 9,
      network_received_bytes: 0,
    };
    const workloads = [{ workload_id: id, ...sample, network_sent_bytes: 0, pids: 3 }];
    const host = {
      cpu_cores_used: 1,
      memory_used_bytes: 1,
      memory_total_bytes: 2,
      disk_free_bytes: 1,
      disk_total_bytes: 2,
    };

    await bench.report({
      kind: 'metrics',
      body: { at: '2026-11-25T12:00:10Z', interval_seconds: 10, host, workloads },
    });

    expect(bench.metrics.of('node-1', id)).toMatchObject([{ cpu_cores: 0.5, at: '2026-11-25T12:00:10Z' }]);
    expect(bench.metrics.of('node-2', id)).toEqual([]);
  });

  it('keeps no samples of what does not run there: a node that invents workloads displaces nothing', async () => {
    const zeros = { cpu_seconds: 0, cpu_cores: 0, memory_bytes: 0, memory_limit_bytes: 0, network_received_bytes: 0 };
    const host = {
      ...{ cpu_cores_used: 0, memory_used_bytes: 0, memory_total_bytes: 0 },
      ...{ disk_free_bytes: 0, disk_total_bytes: 0 },
    };
    const workloads = [{ workload_id: 'invented', ...zeros, network_sent_bytes: 0, pids: 0 }];

    await bench.report({
      kind: 'metrics',
      body: { at: '2026-11-25T12:00:10Z', interval_seconds: 10, host, workloads },
    });

    expect(bench.metrics.of('node-1', 'invented')).toEqual([]);
  });

  it.each([
    ['in the words of the node, which do not replace ours', { type: 'other', exit_code: 1 }, { exit_code: 1 }],
    ['of no size: what is too much for an event is left out', { text: 'x'.repeat(20_000) }, { left_out_bytes: 20_011 }],
  ])('brings facts %s', async (_, values, facts) => {
    const { id } = await bench.running();
    const report = event(id, 'container.noted', null);

    await bench.report({ ...report, body: { ...report.body, event: { ...report.body.event, values } } });

    const events = await bench.store.read((tx) => tx.events.list({ after: 0, limit: 50, subject_id: id }));
    const ours = { source: 'supervisor', type: 'container.noted', time: '2026-11-25T12:00:02Z', failure: null };
    expect(events.at(-1)?.data).toEqual({ ...ours, ...facts });
  });

  it('about the host with a message of any length is an event', async () => {
    const report = event(null, 'disk.low', null);

    await bench.report({
      ...report,
      body: { ...report.body, event: { ...report.body.event, message: 'x'.repeat(100_000) } },
    });

    const [told] = await bench.store.read((tx) => tx.events.list({ after: 0, limit: 9 }));
    expect(told?.message).toHaveLength(2000);
  });
});

describe('a node that is away', () => {
  it('leaves its instances unknown, not failed, and their time runs on (G-200)', async () => {
    const { id } = await bench.running();

    await bench.presence('away');
    expect(await bench.instance(id)).toMatchObject({
      state: 'unknown',
      billing: { periods: [{ stopped_at: null }] },
    });

    await bench.presence('back');
    await bench.report(topology([{ workload_id: id, state: 'running' }]));
    expect((await bench.instance(id)).state).toBe('running');
  });

  it('goes on with the task that was at work', async () => {
    const { id } = await bench.launch();

    await bench.presence('away');
    expect((await bench.instance(id)).state).toBe('unknown');
    await bench.presence('back');
    expect((await bench.instance(id)).state).toBe('deploying');
    await bench.endTaskOf(id, 'running');
    expect((await bench.instance(id)).state).toBe('running');
  });

  it('may bring the result before anything else', async () => {
    const { id } = await bench.launch();
    await bench.presence('away');

    await bench.endTaskOf(id, 'running');

    expect((await bench.instance(id)).state).toBe('running');
  });
});

describe('an action that is refused as stale', () => {
  /** The node refuses the newest task of the instance, having seen that fencing. */
  async function refuse(id: string, seen: unknown): Promise<void> {
    const { current_task_id } = await bench.instance(id);
    const failure = { ...failureOf('task.stale'), detail: { seen } };
    await bench.end({ id: current_task_id ?? '' }, { status: 'rejected', failure });
  }

  it('after a backup was put back is asked again above what its host has seen', async () => {
    const { id } = await bench.running();
    const { current_task_id: refused } = await bench.act(id, 'stop');

    await refuse(id, 41);

    const [again] = await bench.openTasks();
    expect(again).toMatchObject({ purpose: 'stop', fencing: 42, trace_id: 'trace-2', type: 'workload.oci_control' });
    expect(again?.params).toEqual((await bench.store.read((tx) => tx.tasks.get(refused ?? '')))?.params);
    expect((await bench.instance(id)).state).toBe('stopping');
    expect((await bench.events(id)).at(-1)).toBe('apps.instance.asked_again');

    await bench.endTaskOf(id, 'stopped');
    expect((await bench.instance(id)).state).toBe('stopped');
  });

  it.each(['stop', 'decommission'] as const)(
    'is asked again once: %s fails where its host refuses for ever',
    async (act) => {
      const { id } = await bench.running();
      await bench.act(id, act);

      await refuse(id, 41);
      await refuse(id, 99);

      expect(await bench.openTasks()).toEqual([]);
      expect(await bench.instance(id)).toMatchObject({ failure: { code: 'task.stale' } });

      // Somebody who asks for it himself is another request.
      await bench.act(id, act, 'trace-3');
      await refuse(id, 99);
      expect(await bench.openTasks()).toMatchObject([{ purpose: act, fencing: 100 }]);
    },
  );

  it.each([
    ['nothing beyond it', 1],
    ['no number', '41'],
    ['more than there can have been', 9e15],
  ])('stands where its host has seen %s', async (_, seen) => {
    const { id } = await bench.running();
    await bench.act(id, 'stop');

    await refuse(id, seen);

    expect(await bench.openTasks()).toEqual([]);
    expect(await bench.instance(id)).toMatchObject({ state: 'running', failure: { code: 'task.stale' } });
  });
});

describe('what a node tells after an absence', () => {
  const minute = (number: number) => `2026-11-25T12:${String(number).padStart(2, '0')}:00.000Z`;
  const timesOf = async (id: string) =>
    (await bench.store.read((tx) => tx.events.list({ after: 0, limit: 99, subject_id: id }))).map(
      ({ time, type }) => `${time.slice(14, 16)} ${type.slice('apps.instance.'.length)}`,
    );

  it('has the time at which it happened: in history, events and what is billed', async () => {
    const { id } = await bench.running();
    await bench.clock.advance(60_000);
    await bench.presence('away');
    await bench.clock.advance(9 * 60_000);
    await bench.presence('back');

    await bench.report(event(id, 'container.exited', 'failed'), minute(4));
    await bench.report(event(id, 'workload.restarted', 'running'), minute(6));

    const { history, state_since, billing } = await bench.instance(id);
    expect(state_since).toBe(minute(6));
    expect(history.slice(-3).map(({ state, at }) => [state, at])).toEqual([
      ['unknown', minute(1)],
      ['failed', minute(4)],
      ['running', minute(6)],
    ]);
    expect(billing.periods).toEqual([
      { started_at: minute(0), stopped_at: minute(4) },
      { started_at: minute(6), stopped_at: null },
    ]);
    expect((await timesOf(id)).slice(-4)).toEqual(['04 reported', '04 failed', '06 reported', '06 running']);
  });

  it('keeps how long it ran, however often', async () => {
    const { id } = await bench.running();
    await bench.clock.advance(60_000);
    await bench.report(event(id, 'container.exited', 'failed'));
    const often = Array.from({ length: 1000 }, () => ({ started_at: minute(0), stopped_at: minute(1) }));
    await bench.store.write(async (tx) => {
      const instance = await tx.app_instances.get(id);
      if (instance) await tx.app_instances.put({ ...instance, billing: { ...instance.billing, periods: often } });
    });

    await bench.report(event(id, 'workload.restarted', 'running'));

    const { earlier_seconds, periods } = (await bench.instance(id)).billing;
    expect([earlier_seconds, periods.length]).toEqual([60, 1000]);
    expect(periods.at(-1)).toEqual({ started_at: minute(1), stopped_at: null });
  });

  it('is a result of that time too, though its host is back since later', async () => {
    const { id } = await bench.launch();
    await bench.clock.advance(60_000);
    await bench.presence('away');
    await bench.clock.advance(9 * 60_000);
    await bench.presence('back');

    await bench.endTaskOf(id, 'running', minute(3));

    expect((await bench.instance(id)).billing.periods).toEqual([{ started_at: minute(3), stopped_at: null }]);
    expect((await timesOf(id)).slice(-3)).toEqual(['01 unknown', '10 deploying', '03 running']);
  });

  it.each([
    ['before what happened to the instance last', '2020-01-01T00:00:00.000Z', minute(20)],
    ['in the future', '2099-01-01T00:00:00.000Z', minute(30)],
    ['no time', 'soon', minute(30)],
  ])('where it says that it was %s, changes nothing that is settled', async (_, said, believed) => {
    const { id } = await bench.running();
    await bench.clock.advance(10 * 60_000);
    await bench.report(event(id, 'container.exited', 'failed'));
    await bench.clock.advance(10 * 60_000);
    await bench.report(event(id, 'workload.restarted', 'running'));
    await bench.clock.advance(10 * 60_000);

    await bench.report(event(id, 'container.exited', 'failed'), said);
    await bench.report(event(null, 'disk.low', null), said);

    const { history, billing } = await bench.instance(id);
    expect(history.at(-1)).toMatchObject({ state: 'failed', at: believed });
    expect(billing.periods).toEqual([
      { started_at: minute(0), stopped_at: minute(10) },
      { started_at: minute(20), stopped_at: believed },
    ]);
    const [told] = await bench.store.read((tx) =>
      tx.events.list({ after: 0, limit: 1, subject_id: 'node-1', latest: true }),
    );
    const { enrolled_at } = aNode();
    expect(told?.time).toBe(said.startsWith('2020') ? enrolled_at : minute(30));
  });
});

describe('any order of actions, results and reports', () => {
  it('makes no forbidden step, and leaves what is decommissioned alone (G-200)', async () => {
    const step = fc.oneof(
      fc.record({ do: fc.constantFrom('stop', 'start', 'restart', 'decommission') }),
      fc.record({ ends: fc.constantFrom(...workloadStates, 'engine.failed' as const) }),
      fc.record({ reports: fc.constantFrom('failed', 'running', 'degraded') }),
      fc.record({ looks: fc.boolean() }),
      fc.record({ node: fc.constantFrom('away', 'back') }),
    );

    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const { id } = await bench.launch();
        try {
          for (const each of steps) {
            const before = (await bench.instance(id)).state;
            await take(id, each);
            if (before === 'decommissioned') expect((await bench.instance(id)).state).toBe('decommissioned');
          }
        } finally {
          await bench.store.write((tx) => tx.app_instances.delete(id));
        }
      }),
      { numRuns: 40 },
    );
  });

  type Step = {
    do?: 'stop' | 'start' | 'restart' | 'decommission';
    ends?: (typeof workloadStates)[number] | 'engine.failed';
    reports?: 'failed' | 'running' | 'degraded';
    looks?: boolean;
    node?: 'away' | 'back';
  };

  async function take(id: string, { do: action, ends, reports, looks, node }: Step): Promise<void> {
    if (node) await bench.presence(node);
    if (reports) await bench.report(event(id, 'container.changed', reports));
    if (looks !== undefined) await bench.report(topology(looks ? [{ workload_id: id, state: 'stopped' }] : []));
    if (action) {
      await bench.act(id, action).catch((error: { code?: string }) => expect(error.code).toBe('instance.wrong_state'));
    }
    if (ends)
      await bench.endTaskOf(id, ends).catch((error: Error) => expect(error.message).toContain('no task is at work'));
  }
});
