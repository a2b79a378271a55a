import { describe, expect, it } from 'vitest';
import { AgentError } from '../../../src/contract/failures.ts';
import { labels } from '../../../src/contract/names.ts';
import { judge } from '../../../src/contract/validate.ts';
import { WorkloadOutput } from '../../../src/contract/workload-output.ts';
import type { ContainerEngine } from '../../../src/runtime/engine.ts';
import { FailedTask } from '../../../src/tasks/failed-task.ts';
import { removeOci } from '../../../src/tasks/workload-oci-remove.ts';
import { containerFacts, type RecordingEngine, recordingEngine } from '../../support/recording-engine.ts';
import { identity, taskContext } from '../../support/task-bench.ts';

const name = 'gpuaas-notebook-1';
const params = (keep_data: boolean) => ({ identity, keep_data, grace_seconds: 7 });

describe('G-130: what a removal reports', () => {
  it('is everything that is gone, in the order in which it went', async () => {
    const { engine, calls } = launched();
    const { context, phases } = taskContext(engine);

    const output = await removeOci(params(false), context);

    expect(calls).toEqual([
      `inspect ${name}`,
      `stop ${name} 7`,
      `remove ${name}`,
      `removeNetwork ${name}`,
      'removeData notebook-1 (data)',
    ]);
    expect(phases).toEqual(['removing', 'removed']);
    expect(output).toMatchObject({
      state: 'removed',
      summary: 'The workload is removed.',
      endpoints: [],
      logs: [],
      adapter: { container_id: null, container_name: name },
      cleanup: {
        removed: [
          `container ${name}`,
          `network ${name}`,
          'folder /run/secrets-of/notebook-1',
          'folder /home/tenant/gpuaas/workloads/notebook-1',
        ],
        kept: [],
        failed: [],
      },
    });
    expect(judge(WorkloadOutput, output).ok).toBe(true);
  });

  it('says of no folder that it was kept where there is none', async () => {
    const { engine, data } = launched();
    data.clear();

    expect((await removeOci(params(true), taskContext(engine).context)).cleanup?.kept).toEqual([]);
  });

  it('says what was kept on purpose, which secrets never are', async () => {
    const { engine, data, secrets } = launched();

    const output = await removeOci(params(true), taskContext(engine).context);

    expect(output.cleanup).toEqual({
      removed: [`container ${name}`, `network ${name}`, 'folder /run/secrets-of/notebook-1'],
      kept: ['folder /home/tenant/gpuaas/workloads/notebook-1'],
      failed: [],
    });
    expect([...data]).toEqual(['notebook-1']);
    expect(secrets.size).toBe(0);
  });
});

describe('G-152: removing', () => {
  it('what is not there succeeds', async () => {
    const { engine } = recordingEngine();

    const output = await removeOci(params(false), taskContext(engine).context);

    expect(output).toMatchObject({
      state: 'removed',
      summary: 'There was nothing to remove.',
      cleanup: { removed: [], kept: [], failed: [] },
    });
  });

  it('twice succeeds twice', async () => {
    const { engine } = launched();

    const first = await removeOci(params(false), taskContext(engine).context);
    const second = await removeOci(params(false), taskContext(engine).context);

    expect([first.state, second.state]).toEqual(['removed', 'removed']);
    expect(second.cleanup?.removed).toEqual([]);
  });

  it('finishes what was begun: network and folders go although the container is gone', async () => {
    const { engine, containers, networks, data } = launched();
    containers.clear();

    const output = await removeOci(params(false), taskContext(engine).context);

    expect(output.cleanup?.removed).toContain(`network ${name}`);
    expect([networks.size, data.size]).toEqual([0, 0]);
  });

  it('does not ask what is stopped to stop', async () => {
    const { engine, calls, containers } = launched();
    containers.set(name, containerFacts({ status: 'exited', exitCode: 0 }));

    await removeOci(params(false), taskContext(engine).context);

    expect(calls.filter((call) => call.startsWith('stop'))).toEqual([]);
  });

  it('FAULTS 6: by a task that is older than the container is stale, and nothing is touched', async () => {
    const { engine, calls, containers } = launched();
    containers.set(name, containerFacts({ labels: { [labels.project]: 'project-7', [labels.fencing]: '9' } }));

    await expect(removeOci(params(false), taskContext(engine, { fencing: 8 }).context)).rejects.toMatchObject({
      code: 'task.stale',
      detail: { fencing: 8, seen: 9 },
    });
    expect(calls).toEqual([`inspect ${name}`]);
  });

  it('FAULTS 29: never touches a container with our name that is not ours', async () => {
    const conflict = new AgentError('name.conflict', { container: name });
    const { engine, calls } = recordingEngine({ inspect: () => Promise.reject(conflict) });

    await expect(removeOci(params(false), taskContext(engine).context)).rejects.toBe(conflict);
    expect(calls).toEqual([`inspect ${name}`]);
  });
});

describe('a part that cannot be removed', () => {
  const stuck = new AgentError('engine.timed_out', { call: 'remove' });

  it.each<[string, Partial<ContainerEngine>, string[], string]>([
    [
      'the network',
      { removeNetwork: () => Promise.reject(stuck) },
      [`container ${name}`, 'folder /run/secrets-of/notebook-1', 'folder /home/tenant/gpuaas/workloads/notebook-1'],
      `network ${name}: `,
    ],
    [
      'the folders',
      { removeData: () => Promise.reject(stuck) },
      [`container ${name}`, `network ${name}`],
      'data of notebook-1: ',
    ],
    ['the container', { remove: () => Promise.reject(stuck) }, [], `container ${name}: `],
  ])('does not keep the others, and is named with the reason: %s', async (_name, overrides, removed, failure) => {
    const { engine } = launched(overrides);
    const { context, phases } = taskContext(engine);

    const error = await removeOci(params(false), context).catch((thrown: unknown) => thrown);

    expect(error).toBeInstanceOf(FailedTask);
    expect((error as FailedTask).cause).toBe(stuck);
    const output = (error as FailedTask).output(stuck.toFailure());
    expect(output).toMatchObject({ state: 'failed', failure: { code: 'engine.timed_out' } });
    expect(output.cleanup).toEqual({ removed, kept: [], failed: [`${failure}${stuck.message}`] });
    expect(judge(WorkloadOutput, output).ok).toBe(true);
    expect(phases).toEqual(['removing']);
  });

  it('is its network and folders as well where the container stays: somebody may still write there', async () => {
    const { engine, networks, data } = launched({ remove: () => Promise.reject(stuck) });

    await expect(removeOci(params(false), taskContext(engine).context)).rejects.toBeInstanceOf(FailedTask);

    expect([networks.size, data.size]).toEqual([1, 1]);
  });

  it('is removed by the next attempt', async () => {
    let broken = true;
    const recorded = launched({
      removeNetwork: (network, signal) =>
        broken ? Promise.reject(stuck) : recorded.defaults.removeNetwork(network, signal),
    });
    await expect(removeOci(params(false), taskContext(recorded.engine).context)).rejects.toBeInstanceOf(FailedTask);
    broken = false;

    const output = await removeOci(params(false), taskContext(recorded.engine).context);

    expect(output.cleanup).toEqual({ removed: [`network ${name}`], kept: [], failed: [] });
  });

  it('is nothing yet where the task is cancelled while the workload stops', async () => {
    const controller = new AbortController();
    const { engine, calls, containers } = launched({
      stop: async () => {
        controller.abort(new Error('cancelled'));
        throw new AgentError('engine.timed_out', {}, { cause: controller.signal.reason });
      },
    });

    await expect(
      removeOci(params(false), taskContext(engine, { signal: controller.signal }).context),
    ).rejects.toThrow();

    expect(calls.filter((call) => call.startsWith('remove'))).toEqual([]);
    expect(containers.size).toBe(1);
  });

  it('is not the one that would not stop: it is taken away all the same', async () => {
    const { engine, containers } = launched({ stop: () => Promise.reject(new AgentError('engine.timed_out')) });

    const output = await removeOci(params(false), taskContext(engine).context);

    expect(output.state).toBe('removed');
    expect(containers.size).toBe(0);
  });
});

/** An engine on which an earlier launch left all there is to leave. */
function launched(overrides: Partial<ContainerEngine> = {}): RecordingEngine {
  const recorded = recordingEngine(overrides);
  recorded.containers.set(name, containerFacts());
  recorded.networks.add(name);
  recorded.data.add('notebook-1');
  recorded.secrets.set('notebook-1', { token: Buffer.from('x') });
  return recorded;
}
