/** An instance that is a stack: from its launch to its removal, as the control plane sees it. */
import { Registry } from 'prom-client';
import { beforeEach, describe, expect, it } from 'vitest';
import type { WorkloadState } from '../../../../src/contract/workload-state.ts';
import type { AppInstance } from '../../../../src/server/db/entities/app-instance.ts';
import { topologyOf } from '../../../../src/server/instances/instance-topology.ts';
import { viewOf } from '../../../../src/server/instances/instance-view.ts';
import { exposeSamples } from '../../../../src/server/instances/sample-metrics.ts';
import { type LaunchBench, launchBench, stackOutput } from '../../../support/launch-bench.ts';
import { largeShape, runtimeStatus, vllmRequest } from '../../../support/launch-samples.ts';
import { vllmProfile } from '../../../support/profiles.ts';

const withCompose = runtimeStatus({ compose_version: '2.26.1' });
let bench: LaunchBench;
beforeEach(async () => {
  bench = await launchBench({ allocation: { shape: largeShape }, node: { runtime: withCompose } });
});

/** Small enough for the host of the bench. */
const small = (given: Parameters<typeof vllmRequest>[0] = {}) =>
  vllmRequest({
    ...{ config: { shm_gib: 1 }, resource_overrides: { gpu_count: 1, cpu_cores: 2, memory_gib: 8 } },
    ...given,
  });
const launched = () => bench.launch(small());

async function endWith(instance: AppInstance, services: Record<string, WorkloadState>): Promise<AppInstance> {
  await bench.end({ id: instance.current_task_id ?? '' }, { output: stackOutput(instance, services) });
  return bench.instance(instance.id);
}

function looked(
  workload_id: string,
  services: Record<string, [WorkloadState, number]>,
  state: WorkloadState = 'running',
) {
  const at = '2026-11-25T12:00:03Z';
  const facts = Object.entries(services).map(([service, [each, restarts]]) => ({
    service,
    state: each,
    restarts,
    since: at,
  }));
  const ids = { project_id: 'p1', allocation_id: 'a1', fencing: 1, endpoints: [], restarts: 0, since: at };
  return { kind: 'topology' as const, body: { at, workloads: [{ workload_id, state, ...ids, services: facts }] } };
}

describe('a launch of vLLM', () => {
  it('is a task for Compose, with the key sealed for the service that asks for it (G-132, G-153, G-183, G-210)', async () => {
    const { id, state, sealed_env } = await launched();

    expect(state).toBe('deploying');
    const [task] = await bench.openTasks();
    expect(task).toMatchObject({ type: 'workload.compose_launch', purpose: 'launch', workload_id: id });
    expect(task?.params).toMatchObject({
      topology: { services: [{ name: 'vllm', endpoints: ['openai'] }] },
      sealed_env: { vllm: sealed_env },
    });
    expect(sealed_env).toEqual({ VLLM_API_KEY: expect.stringMatching(/^[A-Za-z0-9_-]+\.\.[A-Za-z0-9_.-]+$/) });
  });

  it('seals what was brought, and keeps it nowhere in the clear', async () => {
    const { id } = await bench.launch(small({ secrets: { hub_token: 'hf_canary_of_a_token' } }));

    const tasks = JSON.stringify(await bench.openTasks());
    expect(tasks).toContain('/run/secrets/hub_token');
    expect(tasks).toContain('HF_TOKEN_PATH');
    const events = await bench.store.read((tx) => tx.events.list({ after: 0, limit: 500 }));
    expect(JSON.stringify([tasks, events, await bench.instance(id)])).not.toContain('hf_canary');
  });

  it('is refused with a secret that the app does not declare, which is not said', async () => {
    const asked = bench.launch(small({ secrets: { other: 'hf_canary_of_a_token' } }));

    const error = await asked.catch((reason) => reason);
    expect(error.detail.errors).toMatchObject([{ code: 'launch.values_invalid', path: '/secrets/other' }]);
    expect(JSON.stringify(error.toFailure())).not.toContain('hf_canary');
  });

  it('asks a host that has no Compose, and is refused by its answer', async () => {
    const bare = await launchBench({ allocation: { shape: largeShape } });
    const { id, state } = await bare.launch(small());

    expect(state).toBe('requested');
    await bare.answerPreflight({ compose_version: null });
    expect(await bare.instance(id)).toMatchObject({ state: 'failed', failure: { code: 'compose.unavailable' } });
  });

  it('goes on where Compose has come to the host meanwhile', async () => {
    const bare = await launchBench({ allocation: { shape: largeShape } });
    const { id } = await bare.launch(small());

    await bare.answerPreflight({ compose_version: '2.26.1' });

    expect((await bare.instance(id)).state).toBe('deploying');
  });

  it('is refused on a host whose agent knows no stacks', async () => {
    const task_types = [{ type: 'workload.oci_launch', version: 1 }];
    const old = await launchBench({ allocation: { shape: largeShape }, node: { runtime: withCompose, task_types } });

    await expect(old.launch(small())).rejects.toMatchObject({ code: 'launch.node_unavailable' });
  });
});

const card = { uuid: 'GPU-1', utilization_percent: 90, memory_used_mib: 70_000, memory_total_mib: 81_559 };

/** One sample of a host with this stack and a card of another. */
function sample(workload_id: string) {
  const use = {
    ...{ cpu_seconds: 1, cpu_cores: 0.5, memory_bytes: 100, memory_limit_bytes: 200 },
    ...{ network_received_bytes: 0, network_sent_bytes: 0, pids: 3 },
  };
  const none = { temperature_celsius: 60, power_watts: 500 };
  return {
    kind: 'metrics' as const,
    body: {
      ...{ at: '2026-11-25T12:00:04Z', interval_seconds: 5 },
      host: {
        ...{ cpu_cores_used: 1, memory_used_bytes: 1, memory_total_bytes: 2, disk_free_bytes: 1, disk_total_bytes: 2 },
      },
      workloads: [{ workload_id, ...use, services: [{ service: 'vllm', ...use }] }],
      gpus: [
        { ...card, workload_id, ...none },
        { ...card, uuid: 'GPU-2', workload_id: 'another', ...none },
      ],
    },
  };
}

describe('what is seen of a stack', () => {
  const see = (instance: AppInstance) =>
    bench.store.read(async (tx) => ({
      view: await viewOf(tx, instance),
      topology: topologyOf(instance, vllmProfile()),
    }));

  it('is the shape of its manifest, with the state of each service before and after its host has spoken (G-92, G-184)', async () => {
    const before = await launched();
    const { topology } = await see(before);
    const after = await see(await endWith(before, { vllm: 'running' }));

    const shape = { name: 'vllm', role: 'openai_server', endpoints: ['openai'], mounts: ['workspace'] };
    expect(topology).toEqual({
      description: 'Single-node OpenAI-compatible inference endpoint.',
      services: [{ ...shape, state: null, health: null, restarts: 0, gpus: [] }],
      members: [],
    });
    expect(after.topology.services).toEqual([
      { ...shape, state: 'running', health: null, restarts: 0, gpus: ['GPU-1'] },
    ]);
  });

  it('are its cards, as their host last reported them', async () => {
    const { view } = await see(await endWith(await launched(), { vllm: 'running' }));

    const { name, vendor, memory_mib, health, reason } = withCompose.gpus[0] ?? {};
    expect(view.gpus).toEqual([{ uuid: 'GPU-1', service: 'vllm', card: { name, vendor, memory_mib, health, reason } }]);
  });

  it('says nothing of a card that its host does not report any more', async () => {
    const instance = await endWith(await launched(), { vllm: 'running' });
    await bench.store.write(async (tx) => {
      const node = await tx.nodes.get('node-1');
      if (node) await tx.nodes.put({ ...node, runtime: { ...withCompose, gpus: [] } });
    });

    expect((await see(instance)).view.gpus).toEqual([{ uuid: 'GPU-1', service: 'vllm', card: null }]);
  });

  it('is nothing that is secret', async () => {
    const instance = await launched();
    const { view } = await see(instance);

    expect(instance.sealed_env).not.toEqual({});
    expect(Object.keys(view)).not.toContain('sealed_env');
    expect(JSON.stringify(view)).not.toContain(instance.sealed_env?.['VLLM_API_KEY']);
  });

  it('is what each service and each of its cards uses, and of no other card', async () => {
    const { id } = await endWith(await launched(), { vllm: 'running' });

    await bench.report(sample(id));

    expect(bench.metrics.of('node-1', id)).toMatchObject([
      { cpu_cores: 0.5, services: [{ service: 'vllm', pids: 3 }], gpus: [{ uuid: 'GPU-1', utilization_percent: 90 }] },
    ]);
    expect(bench.metrics.of('node-1', id)[0]?.gpus).toHaveLength(1);
  });

  it('is told to Prometheus while it is new, for each service and card', async () => {
    const { id } = await endWith(await launched(), { vllm: 'running' });
    const registry = new Registry();
    exposeSamples(registry, bench.metrics, () => bench.clock.wallMs());
    await bench.report(sample(id));

    const text = await registry.metrics();
    expect(text).toContain(`gpuaas_workload_cpu_cores{node="node-1",instance="${id}",service="vllm"} 0.5\n`);
    expect(text).toContain(`gpuaas_workload_memory_bytes{node="node-1",instance="${id}",service=""} 100\n`);
    expect(text).toContain(`gpuaas_gpu_utilization_ratio{node="node-1",gpu="GPU-1",instance="${id}"} 0.9\n`);
    await bench.clock.advance(121_000);
    expect(await registry.metrics()).not.toContain('GPU-1');
  });
});

describe('a stack', () => {
  it('has a member for each service, with its state, its endpoints and its cards (G-124 to G-126, G-184)', async () => {
    const instance = await endWith(await launched(), { vllm: 'running', watch: 'running' });

    expect(instance).toMatchObject({ state: 'running', endpoints: [{ name: 'openai', port: 8000 }] });
    expect(instance.members).toMatchObject([
      {
        name: 'vllm',
        state: 'running',
        endpoints: [{ name: 'openai' }],
        status: { container_id: 'c-vllm', gpus: ['GPU-1'] },
      },
      { name: 'watch', state: 'running', endpoints: [], status: { container_id: 'c-watch', gpus: [] } },
    ]);
    expect(instance.billing).toMatchObject({ gpu_count: 1, periods: [{ stopped_at: null, gpus: ['GPU-1'] }] });
  });

  it('is degraded where one of its services does not run', async () => {
    const { id } = await endWith(await launched(), { vllm: 'running', watch: 'running' });

    await bench.report(looked(id, { vllm: ['running', 0], watch: ['failed', 3] }, 'degraded'));

    const { state, members } = await bench.instance(id);
    expect(state).toBe('degraded');
    expect(members).toMatchObject([
      { name: 'vllm', state: 'running', restarts: 0 },
      { name: 'watch', state: 'failed', restarts: 3 },
    ]);
  });

  it('is stopped, started and taken away by tasks for Compose (G-154, G-155)', async () => {
    const { id } = await endWith(await launched(), { vllm: 'running' });

    for (const [action, reported, type] of [
      ['stop', 'stopped', 'workload.compose_control'],
      ['start', 'running', 'workload.compose_control'],
      ['decommission', 'removed', 'workload.compose_remove'],
    ] as const) {
      await bench.act(id, action);
      expect(await bench.openTasks()).toMatchObject([{ type, purpose: action }]);
      await bench.endTaskOf(id, reported);
    }
    expect(await bench.instance(id)).toMatchObject({ state: 'decommissioned', sealed_env: {}, sealed_files: {} });
  });

  it('keeps the order and the endpoints of its launch where a later answer has them from the engine', async () => {
    const { id } = await endWith(await launched(), { vllm: 'running', watch: 'running' });
    const { members: before, current_task_id, host_ports } = await bench.act(id, 'restart');
    const output = stackOutput({ id, host_ports }, { watch: 'running', vllm: 'running' });
    const services = output.topology.services.map((service) => ({ ...service, endpoints: [] }));

    await bench.end(
      { id: current_task_id ?? '' },
      { output: { ...output, topology: { ...output.topology, services } } },
    );

    const { members } = await bench.instance(id);
    const shape = (all: typeof members) => all.map(({ name, endpoints }) => [name, endpoints.map((each) => each.name)]);
    expect(shape(members)).toEqual(shape(before));
    expect(shape(before)).toEqual([
      ['vllm', ['openai']],
      ['watch', []],
    ]);
  });

  it('runs on as it was where an action failed that some of it did not follow', async () => {
    const { id } = await endWith(await launched(), { vllm: 'running', watch: 'running' });
    await bench.report(looked(id, { vllm: ['running', 0], watch: ['failed', 3] }, 'degraded'));
    await bench.act(id, 'stop');

    await bench.endTaskOf(id, 'engine.timed_out');

    expect(await bench.instance(id)).toMatchObject({ state: 'degraded', failure: { code: 'engine.timed_out' } });
  });

  it('is launched anew with the same key where its launch failed', async () => {
    const { id, sealed_env } = await launched();
    await bench.endTaskOf(id, 'readiness.timed_out');

    await bench.act(id, 'restart');

    expect((await bench.openTasks())[0]?.params).toMatchObject({ sealed_env: { vllm: sealed_env } });
  });
});
