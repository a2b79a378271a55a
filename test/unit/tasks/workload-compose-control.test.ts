import { describe, expect, it } from 'vitest';
import { AgentError } from '../../../src/contract/failures.ts';
import { labels } from '../../../src/contract/names.ts';
import { judge } from '../../../src/contract/validate.ts';
import { StackOutput } from '../../../src/contract/workload-output.ts';
import { FailedTask } from '../../../src/tasks/failed-task.ts';
import { controlStack } from '../../../src/tasks/workload-compose-control.ts';
import {
  jwe,
  type StackBench,
  type StackBenchOptions,
  serviceContainer,
  stackBench,
  stackIdentity,
  stackParams,
} from '../../support/stack-bench.ts';
import { waitForNothing } from '../../support/waits.ts';

// A stack without checks must run for a second before it counts: that second need not pass here.
waitForNothing();

const params = (action: 'stop' | 'start' | 'restart') => ({ identity: stackIdentity, action, grace_seconds: 7 });
const stopped = { status: 'exited', exitCode: 143, pid: 0 };

/** Two services, as an earlier launch left them. */
function withStack(over: Parameters<typeof serviceContainer>[1] = {}, options: StackBenchOptions = {}): StackBench {
  const bench = stackBench({ ...options, context: { fencing: 2, stackParams: stackParams(), ...options.context } });
  for (const service of ['web', 'db']) {
    const container = serviceContainer(service, over);
    bench.containers.set(container.name, container);
  }
  return bench;
}

describe('stop', () => {
  it('stops all services with the grace of the task', async () => {
    const bench = withStack();

    const output = await controlStack(params('stop'), bench.context);

    expect(bench.calls).toEqual(['stop stack-1 7']);
    expect(bench.phases).toEqual(['stopping', 'stopped']);
    expect(judge(StackOutput, output)).toMatchObject({ ok: true });
    expect(output).toMatchObject({
      state: 'stopped',
      topology: { services: [{ state: 'stopped' }, { state: 'stopped' }] },
    });
  });

  it('leaves no service failed, whatever it ended with when it was asked to', async () => {
    const bench: StackBench = withStack(
      {},
      {
        stacks: ({ stop }) => ({
          stop: async (...args) => {
            await stop(...args);
            bench.containers.set('gpuaas-stack-1.db', serviceContainer('db', { ...stopped, exitCode: 1 }));
          },
        }),
      },
    );

    const { state, topology } = await controlStack(params('stop'), bench.context);

    expect([state, ...topology.services.map((service) => service.state)]).toEqual(['stopped', 'stopped', 'stopped']);
  });

  it('tells the services in the order of the launch, or by name, whatever the order of the engine', async () => {
    const order = async (bench: StackBench) => {
      const { topology, adapter } = await controlStack(params('stop'), bench.context);
      return [topology.services.map(({ name }) => name), adapter.services.map(({ service }) => service)];
    };
    const bench = withStack();
    const backwards = [...bench.containers.values()].reverse();
    const newestFirst = () => {
      bench.containers.clear();
      for (const container of backwards) bench.containers.set(container.name, container);
    };

    for (const reorder of [() => undefined, newestFirst]) {
      reorder();
      expect(await order(bench)).toEqual([
        ['web', 'db'],
        ['web', 'db'],
      ]);
      expect(await order(bench.again({ stackParams: undefined }))).toEqual([
        ['db', 'web'],
        ['db', 'web'],
      ]);
    }
  });

  it('of what is stopped succeeds and changes nothing', async () => {
    const bench = withStack(stopped);

    const output = await controlStack(params('stop'), bench.context);

    expect(bench.calls).toEqual([]);
    expect(output.state).toBe('stopped');
  });
});

describe('start', () => {
  it('starts what is stopped, in its network, and waits until it stays', async () => {
    const bench = withStack(stopped);

    const output = await controlStack(params('start'), bench.context);

    expect(bench.calls).toEqual(['ensureNetwork gpuaas-stack-1', 'start stack-1']);
    expect(bench.phases).toEqual(['starting', 'probing', 'running']);
    expect(output.state).toBe('running');
  });

  it('of what runs succeeds and changes nothing', async () => {
    const bench = withStack();

    expect((await controlStack(params('start'), bench.context)).state).toBe('running');
    expect(bench.calls).toEqual([]);
  });

  it('starts a stack of which one service has ended', async () => {
    const bench = withStack();
    bench.containers.set('gpuaas-stack-1.db', serviceContainer('db', stopped));

    expect((await controlStack(params('start'), bench.context)).state).toBe('running');
    expect(bench.calls).toContain('start stack-1');
  });

  it('delivers the secret files of each service again, before the start', async () => {
    const launched = stackParams({ sealed_files: { db: { '/run/secrets/token': jwe } } });
    const bench = withStack(stopped, { context: { stackParams: launched, unseal: async () => Buffer.from('x') } });

    await controlStack(params('start'), bench.context);

    expect(bench.calls.slice(0, -1)).toContain('putSecrets stack-1.db token');
    expect(bench.calls.at(-1)).toBe('start stack-1');
  });

  it('fails at once when a service ends, with its name, and says what the stack is like', async () => {
    const wait = async (name: string, signal: AbortSignal) => {
      if (!name.endsWith('.db')) {
        return await new Promise<number>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
      }
      bench.containers.set(name, serviceContainer('db', { ...stopped, exitCode: 1 }));
      return 1;
    };
    const bench: StackBench = withStack(stopped, { engine: { wait } });

    const failed = await failure('start', bench);

    expect(failed.cause).toMatchObject({ code: 'container.exited', detail: { service: 'db' } });
    expect(failed.output((failed.cause as AgentError).toFailure())).toMatchObject({
      ...{
        state: 'degraded',
        topology: {
          services: [
            { name: 'web', state: 'running' },
            { name: 'db', state: 'failed' },
          ],
        },
      },
    });
  });
});

describe('restart', () => {
  it('stops everything before it starts anything', async () => {
    const bench = withStack();

    const output = await controlStack(params('restart'), bench.context);

    expect(bench.calls).toEqual(['stop stack-1 7', 'ensureNetwork gpuaas-stack-1', 'start stack-1']);
    expect(bench.phases).toEqual(['stopping', 'stopped', 'starting', 'probing', 'running']);
    expect(output.state).toBe('running');
  });

  it('stops nothing while a secret cannot be opened', async () => {
    const launched = stackParams({ sealed_env: { db: { PASSWORD: jwe } } });
    const unseal = () => Promise.reject(new AgentError('secret.unavailable'));
    const bench = withStack({}, { context: { stackParams: launched, unseal } });

    expect((await failure('restart', bench)).cause).toMatchObject({ code: 'secret.unavailable' });
    expect(bench.calls).toEqual([]);
  });

  it('goes by what is on the containers where nobody remembers the launch', async () => {
    const bench = withStack({}, { context: { stackParams: undefined } });

    const output = await controlStack(params('restart'), bench.context);

    expect(output.state).toBe('running');
    expect(output.topology.services.map(({ name }) => name)).toEqual(['db', 'web']);
  });
});

describe.each(['stop', 'start', 'restart'] as const)('%s', (action) => {
  it('of a stack that is not there is refused', async () => {
    const bench = stackBench();

    await expect(controlStack(params(action), bench.context)).rejects.toMatchObject({ code: 'container.not_found' });
    expect(bench.calls).toEqual([]);
  });

  it('of a single container is refused', async () => {
    const bench = stackBench();
    bench.containers.set('gpuaas-stack-1', serviceContainer('x', { name: 'gpuaas-stack-1' }));

    await expect(controlStack(params(action), bench.context)).rejects.toMatchObject({ code: 'task.invalid' });
    expect(bench.calls).toEqual([]);
  });

  it('of what a newer task has made is stale', async () => {
    const bench = withStack({ labels: { ...serviceContainer('web').labels, [labels.fencing]: '3' } });

    await expect(controlStack(params(action), bench.context)).rejects.toMatchObject({ code: 'task.stale' });
    expect(bench.calls).toEqual([]);
  });
});

async function failure(action: 'start' | 'restart', { context }: StackBench): Promise<FailedTask> {
  const error = await controlStack(params(action), context).catch((thrown: unknown) => thrown);
  if (!(error instanceof FailedTask)) {
    throw error;
  }
  return error;
}
