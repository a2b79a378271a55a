/** A launch with cards: leased before anything is made, kept as long as the container is there, given back with it. */
import { beforeEach, describe, expect, it } from 'vitest';
import { AgentError } from '../../../src/contract/failures.ts';
import { labels } from '../../../src/contract/names.ts';
import type { ContainerEngine } from '../../../src/runtime/engine.ts';
import { controlOci } from '../../../src/tasks/workload-oci-control.ts';
import { launchOci } from '../../../src/tasks/workload-oci-launch.ts';
import { removeOci } from '../../../src/tasks/workload-oci-remove.ts';
import { type CardBench, cardLedger, sampleGpu } from '../../support/gpus.ts';
import { type RecordingEngine, recordingEngine } from '../../support/recording-engine.ts';
import { identity, type LaunchParams, launchParams, taskContext } from '../../support/task-bench.ts';

const host = ['GPU-a', 'GPU-b', 'GPU-c'].map((uuid) => sampleGpu({ uuid }));
let recorded: RecordingEngine;
let cards: CardBench;

function open(overrides: Partial<ContainerEngine> = {}): void {
  recorded = recordingEngine(overrides);
  cards = cardLedger(recorded.engine, host, { store: cards?.store });
}

beforeEach(() => {
  recorded = recordingEngine();
  cards = cardLedger(recorded.engine, host);
});

const contextOf = (fencing: number, taskId: string) =>
  taskContext(recorded.engine, { fencing, taskId, gpus: cards.ledger }).context;

function withCards(gpu_count: number, over: Partial<LaunchParams> = {}): LaunchParams {
  return launchParams({ resources: { gpu_count, cpu_cores: 1, memory_gib: 2 }, ...over });
}

const launch = (params: LaunchParams, { fencing = 1, taskId = 'task-1' } = {}) =>
  launchOci(params, contextOf(fencing, taskId));
const held = () => cards.ledger.cardsOf(identity.app_instance_id);

describe('a launch with cards', () => {
  it('has its container made with exactly the cards that it leased, and says which (G-177)', async () => {
    const { adapter } = await launch(withCards(2));

    const [request] = recorded.requests;
    expect(request?.HostConfig.DeviceRequests).toEqual([
      { Driver: 'nvidia', DeviceIDs: ['GPU-a', 'GPU-b'], Capabilities: [['gpu', 'compute', 'utility']] },
    ]);
    expect(request?.Labels[labels.gpus]).toBe('GPU-a,GPU-b');
    expect(request?.Env.filter((entry) => entry.startsWith('NVIDIA_'))).toEqual([]);
    expect(adapter.gpus).toEqual(['GPU-a', 'GPU-b']);
    expect(held()).toEqual(['GPU-a', 'GPU-b']);
  });

  it('has them on the disk before the engine is asked for anything to be made', async () => {
    let before: readonly string[] = [];
    open({
      create: async (...args) => {
        before = held();
        return await recorded.defaults.create(...args);
      },
    });

    await launch(withCards(1));

    expect(before).toEqual(['GPU-a']);
  });

  it('is refused before anything is pulled where too few are free, and leaves no lease', async () => {
    await cards.ledger.lease('other', [{ service: null, count: 2, sandbox: 'runc' }], new AbortController().signal);

    await expect(launch(withCards(2))).rejects.toMatchObject({
      cause: { code: 'gpu.none_free', detail: { asked: 2, free: 1, held_by: ['other'] } },
    });

    expect(recorded.calls.filter((call) => /^(pull|create)/.test(call))).toEqual([]);
    expect(held()).toEqual([]);
  });

  it('gives its cards back where it fails', async () => {
    open({ start: () => Promise.reject(new AgentError('engine.failed')) });

    await expect(launch(withCards(1))).rejects.toMatchObject({ cause: { code: 'engine.failed' } });

    expect(held()).toEqual([]);
  });

  it('keeps them where its container cannot be taken away', async () => {
    open({
      start: () => Promise.reject(new AgentError('engine.failed')),
      remove: () => Promise.reject(new AgentError('engine.failed')),
    });

    await expect(launch(withCards(1))).rejects.toMatchObject({ cause: { code: 'engine.failed' } });

    expect(held()).toEqual(['GPU-a']);
  });

  it('gets the same cards when it is run again after a kill, whatever was free meanwhile', async () => {
    const { promise: killed, resolve: kill } = Promise.withResolvers<never>();
    open({
      create: () => {
        kill(undefined as never);
        return new Promise(() => undefined);
      },
    });
    const first = launch(withCards(1));
    first.catch(() => undefined);
    await killed;
    open();
    await cards.ledger.lease('other', [{ service: null, count: 1, sandbox: 'runc' }], new AbortController().signal);

    const { adapter } = await launch(withCards(1));

    expect(adapter.gpus).toEqual(['GPU-a']);
  });
});

describe('another launch of the same workload', () => {
  it('adopts the container with its cards, also where its card got sick and nothing else is free', async () => {
    await launch(withCards(1));
    cards.cards.splice(0, 3, sampleGpu({ uuid: 'GPU-a', health: 'unhealthy', reason: 'Xid 79' }));

    const { adapter } = await launch(withCards(1), { fencing: 2, taskId: 'task-2' });

    expect(adapter).toMatchObject({ adopted: true, gpus: ['GPU-a'] });
    expect(held()).toEqual(['GPU-a']);
  });

  it('that asks for fewer has the rest free once the old container is replaced', async () => {
    await launch(withCards(3));

    const { adapter } = await launch(withCards(1), { fencing: 2, taskId: 'task-2' });

    expect(adapter.gpus).toHaveLength(1);
    expect(held()).toEqual(adapter.gpus);
  });

  it('that cannot have its cards costs the workload that runs nothing', async () => {
    await launch(withCards(1));
    const before = recorded.containers.get('gpuaas-notebook-1');

    await expect(launch(withCards(4), { fencing: 2, taskId: 'task-2' })).rejects.toMatchObject({
      cause: { code: 'gpu.none_free' },
    });

    expect(recorded.containers.get('gpuaas-notebook-1')).toEqual(before);
    expect(held()).toEqual(['GPU-a']);
  });

  it('without cards gives them all back', async () => {
    await launch(withCards(2));

    await launch(withCards(0), { fencing: 2, taskId: 'task-2' });

    expect(held()).toEqual([]);
  });
});

describe('the cards of a workload', () => {
  it('stay with it when it is stopped, started and restarted', async () => {
    await launch(withCards(2));

    for (const [at, action] of (['stop', 'start', 'restart'] as const).entries()) {
      const params = { identity, action, grace_seconds: 1 };
      const output = await controlOci(params, contextOf(at + 2, `task-${at + 2}`));
      expect(output.adapter.gpus).toEqual(['GPU-a', 'GPU-b']);
      expect(held()).toEqual(['GPU-a', 'GPU-b']);
    }
  });

  it('are free once its container is removed, whatever else could not be', async () => {
    open({ removeNetwork: () => Promise.reject(new AgentError('engine.failed')) });
    await launch(withCards(2));
    const removal = { identity, grace_seconds: 1, keep_data: false };

    await expect(removeOci(removal, contextOf(2, 'task-2'))).rejects.toMatchObject({
      cause: { code: 'engine.failed' },
    });

    expect(held()).toEqual([]);
  });

  it('are not free while it could not be removed', async () => {
    open({ remove: () => Promise.reject(new AgentError('engine.failed')) });
    await launch(withCards(2));
    const removal = { identity, grace_seconds: 1, keep_data: false };

    await expect(removeOci(removal, contextOf(2, 'task-2'))).rejects.toMatchObject({
      cause: { code: 'engine.failed' },
    });

    expect(held()).toEqual(['GPU-a', 'GPU-b']);
  });
});
