import { expect, it, vi } from 'vitest';
import { AgentError } from '../../../src/contract/failures.ts';
import { labels } from '../../../src/contract/names.ts';
import { judge } from '../../../src/contract/validate.ts';
import { StackOutput } from '../../../src/contract/workload-output.ts';
import { FailedTask } from '../../../src/tasks/failed-task.ts';
import { removeStack } from '../../../src/tasks/workload-compose-remove.ts';
import {
  type StackBench,
  type StackBenchOptions,
  serviceContainer,
  stackBench,
  stackIdentity,
  stackParams,
} from '../../support/stack-bench.ts';

const params = { identity: stackIdentity, keep_data: false, grace_seconds: 7 };

function withStack(options: StackBenchOptions = {}): StackBench {
  const bench = stackBench({ ...options, context: { fencing: 2, stackParams: stackParams(), ...options.context } });
  for (const service of ['web', 'db']) {
    const container = serviceContainer(service);
    bench.containers.set(container.name, container);
  }
  bench.networks.add('gpuaas-stack-1');
  bench.data.add('stack-1');
  return bench;
}

it('G-154: stops the services in order, then takes away containers, network, document and data', async () => {
  const bench = withStack();

  const output = await removeStack(params, bench.context);

  expect(bench.calls).toEqual([
    ...['stop stack-1 7', 'remove gpuaas-stack-1.web', 'remove gpuaas-stack-1.db', 'removeNetwork gpuaas-stack-1'],
    ...['removeData stack-1 (data)', 'forget stack-1'],
  ]);
  expect(bench.phases).toEqual(['removing', 'removed']);
  expect(judge(StackOutput, output)).toMatchObject({ ok: true });
  expect(output).toMatchObject({
    ...{ state: 'removed', topology: { services: [{ state: 'removed' }, { state: 'removed' }] } },
    cleanup: { removed: expect.arrayContaining(['container gpuaas-stack-1.web', 'network gpuaas-stack-1']) },
  });
});

it('G-155: keeps the data where it is asked to', async () => {
  const bench = withStack();

  await removeStack({ ...params, keep_data: true }, bench.context);

  expect(bench.calls).toContain('removeData stack-1');
  expect(bench.data.has('stack-1')).toBe(true);
});

it('of what is not there succeeds, twice', async () => {
  const bench = withStack();
  await removeStack(params, bench.context);

  const output = await removeStack(params, bench.again({ fencing: 3 }).context);

  expect(output).toMatchObject({ state: 'removed', cleanup: { removed: [], failed: [] } });
});

it('removes by force what Compose cannot stop, also where it is gone', async () => {
  const stop = () => Promise.reject(new AgentError('compose.unavailable'));
  const bench = withStack({ stacks: () => ({ stop }) });

  expect((await removeStack(params, bench.context)).state).toBe('removed');
  expect(bench.containers.size).toBe(0);
});

it('takes away services that nobody remembers, and says so of each', async () => {
  const bench = withStack({ context: { stackParams: undefined } });
  bench.containers.set('gpuaas-stack-1.old', serviceContainer('old'));

  const output = await removeStack(params, bench.context);

  expect(output.cleanup?.removed).toContain('container gpuaas-stack-1.old');
});

it('takes away what came to be while it looked', async () => {
  let late = true;
  const bench: StackBench = withStack({
    engine: {
      removeNetwork: async () => {
        if (late) bench.containers.set('gpuaas-stack-1.db', serviceContainer('db'));
        late = false;
        return true;
      },
    },
  });

  await removeStack(params, bench.context);

  expect(bench.containers.size).toBe(0);
});

it('G-154: fails, with their names, where containers come to be again and again, and keeps their cards', async () => {
  const bench: StackBench = withStack({
    engine: {
      removeNetwork: async () => {
        bench.containers.set('gpuaas-stack-1.db', serviceContainer('db'));
        return true;
      },
    },
  });
  const released = vi.spyOn(bench.context.gpus, 'release');

  const error = await removeStack(params, bench.context).catch((thrown: unknown) => thrown);

  expect(error).toBeInstanceOf(FailedTask);
  const { cause, output } = error as FailedTask;
  expect(cause).toMatchObject({
    code: 'engine.failed',
    detail: { reason: expect.stringContaining('gpuaas-stack-1.db') },
  });
  expect(output((cause as AgentError).toFailure())).toMatchObject({
    ...{ state: 'failed', cleanup: { failed: [expect.stringContaining('container gpuaas-stack-1.db: ')] } },
  });
  expect(released).not.toHaveBeenCalled();
});

it('keeps the cards of a container that came to be while something else could not be removed', async () => {
  const bench: StackBench = withStack({
    engine: {
      removeNetwork: async () => {
        bench.containers.set('gpuaas-stack-1.db', serviceContainer('db'));
        throw new AgentError('engine.failed', { reason: 'network is busy' });
      },
    },
  });
  const released = vi.spyOn(bench.context.gpus, 'release');

  await expect(removeStack(params, bench.context)).rejects.toBeInstanceOf(FailedTask);

  expect(released).not.toHaveBeenCalled();
});

it('goes on after a part that cannot be removed, and fails with what became of each', async () => {
  const bench: StackBench = withStack({
    engine: {
      remove: async (name) => {
        if (name.endsWith('.web')) throw new AgentError('engine.failed', { reason: 'device is busy' });
        return bench.containers.delete(name);
      },
    },
  });

  const error = await removeStack(params, bench.context).catch((thrown: unknown) => thrown);

  expect(error).toBeInstanceOf(FailedTask);
  const { cause, output } = error as FailedTask;
  expect(output((cause as AgentError).toFailure()).cleanup).toMatchObject({
    ...{ removed: ['container gpuaas-stack-1.db'], failed: [expect.stringContaining('gpuaas-stack-1.web: ')] },
  });
});

it('is refused for a single container, and for the stack of another project', async () => {
  const single = stackBench();
  single.containers.set('gpuaas-stack-1', serviceContainer('x', { name: 'gpuaas-stack-1' }));
  const foreign = withStack();
  foreign.containers.set(
    'gpuaas-stack-1.web',
    serviceContainer('web', { labels: { ...serviceContainer('web').labels, [labels.project]: 'other' } }),
  );

  await expect(removeStack(params, single.context)).rejects.toMatchObject({ code: 'task.invalid' });
  await expect(removeStack(params, foreign.context)).rejects.toMatchObject({ code: 'task.untrusted' });
  expect([...single.calls, ...foreign.calls]).toEqual([]);
});
