import { describe, expect, it } from 'vitest';
import { AgentError } from '../../../src/contract/failures.ts';
import { labels } from '../../../src/contract/names.ts';
import { judge } from '../../../src/contract/validate.ts';
import type { WorkloadComposeLaunchParams } from '../../../src/contract/workload-compose-launch.ts';
import { StackOutput } from '../../../src/contract/workload-output.ts';
import { FailedTask } from '../../../src/tasks/failed-task.ts';
import { launchStack } from '../../../src/tasks/workload-compose-launch.ts';
import {
  aService,
  jwe,
  type StackBench,
  serviceContainer,
  stackBench,
  stackParams,
} from '../../support/stack-bench.ts';
import { waitForNothing } from '../../support/waits.ts';

// A stack without checks must run for a second before it counts: that second need not pass here.
waitForNothing();

const [db, web] = ['gpuaas-stack-1.db', 'gpuaas-stack-1.web'];

describe('G-153: a launch', () => {
  it('makes the network, has Compose bring the services up, and answers with the state of each', async () => {
    const bench = stackBench();

    const output = await launchStack(stackParams(), bench.context);

    expect(bench.calls).toEqual(['removeData stack-1', 'ensureNetwork gpuaas-stack-1', 'up stack-1']);
    expect(bench.phases).toEqual(['pulling', 'creating', 'starting', 'probing', 'running']);
    expect(judge(StackOutput, output)).toMatchObject({ ok: true });
    expect(output).toMatchObject({
      ...{ state: 'running', failure: null, cleanup: null },
      topology: {
        services: [
          { name: 'web', state: 'running' },
          { name: 'db', state: 'running' },
        ],
      },
      adapter: { kind: 'compose_stack', project: 'gpuaas-stack-1', compose_version: '2.26.1', adopted: false },
      logs: [{ ref: 'instance:stack-1' }, { ref: 'service:stack-1/web' }, { ref: 'service:stack-1/db' }],
    });
  });

  it('tells each step with its service', async () => {
    const bench = stackBench();

    await launchStack(stackParams(), bench.context);

    const steps = bench.events.filter(({ type }) => type.startsWith('service.'));
    expect(steps.map(({ type, values }) => `${type} ${values['service']}`)).toEqual([
      ...['service.created db', 'service.started db', 'service.created web', 'service.started web'],
    ]);
  });

  it('pulls an image that several services share once', async () => {
    const pulled: string[] = [];
    const bench = stackBench();
    const { engine } = bench.context;
    const pull: typeof engine.pull = async (image, options) => {
      pulled.push(image.reference);
      return await engine.pull(image, options);
    };

    await launchStack(stackParams(), { ...bench.context, engine: { ...engine, pull } });

    expect(pulled).toHaveLength(1);
  });

  it('hands secrets over by environment and by file, and writes them nowhere', async () => {
    const bench = stackBench({ context: { unseal: async () => Buffer.from('s3cret-value') } });
    const sealed_env = { db: { PASSWORD: jwe } };
    const secret = ['$', '{GPUAAS_SECRET_0}'].join('');
    const sealed_files = { web: { '/run/secrets/token': jwe } };

    const output = await launchStack(stackParams({ sealed_env, sealed_files }), bench.context);

    const [up] = bench.ups;
    expect(up?.env).toEqual({ GPUAAS_SECRET_0: 's3cret-value' });
    expect(up?.document).toMatchObject({ services: { db: { environment: { PASSWORD: secret } } } });
    expect(bench.secrets.get('stack-1.web')).toEqual({ token: Buffer.from('s3cret-value') });
    const said = JSON.stringify([up?.document, output, bench.events, bench.logLines]);
    expect(said).not.toContain('s3cret-value');
  });

  it('makes nothing after a restart that would be refused now', async () => {
    const lacking = new AgentError('sandbox.unavailable', { sandbox: 'gvisor', reason: 'It is a runc.' });
    const bench = stackBench({ context: { lacking } });

    await expect(launchStack(stackParams(), bench.context)).rejects.toMatchObject({ cause: lacking });

    expect(bench.calls.filter((call) => /^(up|ensureNetwork|pull)/.test(call))).toEqual([]);
  });
});

describe('a second launch', () => {
  it('of the same spec adopts what runs, and changes nothing', async () => {
    const bench = stackBench();
    await launchStack(stackParams(), bench.context);
    bench.calls.splice(0);

    const output = await launchStack(stackParams(), bench.again({ taskId: 'task-2' }).context);

    expect(bench.calls).toEqual([]);
    expect(output.adapter.adopted).toBe(true);
  });

  it('adopts a stack of which a service has done its work, and does not have it done again', async () => {
    const condition = { condition: 'service_completed_successfully' } as const;
    const document = { services: { db: aService(), web: aService({ depends_on: { db: condition } }) } };
    const bench: StackBench = stackBench({
      engine: { wait: async (name, signal) => (name === db ? 0 : await forever(signal)) },
      stacks: (usual) => ({
        up: async (stack, options) => {
          await usual.up(stack, options);
          bench.containers.set(db, { ...serviceOf(bench.containers, db), status: 'exited', exitCode: 0 });
        },
      }),
    });
    await launchStack(stackParams({ document }), bench.context);
    bench.calls.splice(0);

    const output = await launchStack(stackParams({ document }), bench.again({ taskId: 'task-2' }).context);

    expect(bench.calls).toEqual([]);
    expect(output.adapter.adopted).toBe(true);
    expect(serviceOf(bench.containers, db).status).toBe('exited');
  });

  it.each([
    [
      'makes what is missing',
      (bench: StackBench) => void bench.containers.delete(web),
      ['service.created web', 'service.started web'],
    ],
    [
      'starts what has stopped',
      ({ containers }: StackBench) => void containers.set(db, { ...serviceOf(containers, db), status: 'exited' }),
      ['service.started db'],
    ],
  ])('%s', async (_what, change, expected) => {
    const bench = stackBench();
    await launchStack(stackParams(), bench.context);
    change(bench);

    const again = bench.again({ taskId: 'task-2' });
    await launchStack(stackParams(), again.context);

    const told = again.events.filter(({ type }) => type.startsWith('service.'));
    expect(told.map(({ type, values }) => `${type} ${values['service']}`)).toEqual(expected);
    expect([...bench.containers.values()].map(({ status }) => status)).toEqual(['running', 'running']);
  });

  it('of another spec replaces all of it under a higher fencing', async () => {
    const bench = stackBench();
    await launchStack(stackParams(), bench.context);
    bench.calls.splice(0);
    const newer = stackParams({ restart: { policy: 'no', max_retries: 0 } });

    await launchStack(newer, bench.again({ fencing: 2 }).context);

    expect(bench.calls).toEqual(expect.arrayContaining([`remove ${db}`, `remove ${web}`, 'up stack-1']));
    expect(serviceOf(bench.containers, web).labels[labels.fencing]).toBe('2');
  });

  it('of another spec under the same fencing is stale, and touches nothing', async () => {
    const bench = stackBench();
    await launchStack(stackParams(), bench.context);
    bench.calls.splice(0);
    const newer = stackParams({ restart: { policy: 'no', max_retries: 0 } });

    const { code } = await failed(newer, bench.again());

    expect(code).toBe('task.stale');
    expect(bench.calls).toEqual([]);
  });

  it('of the very same task takes away what its earlier run had left half-made, if it fails too', async () => {
    const bench = stackBench();
    await launchStack(stackParams(), bench.context);
    bench.containers.set(db, { ...serviceOf(bench.containers, db), status: 'exited', exitCode: 1 });
    const image = () => Promise.reject(new AgentError('image.unauthorized'));

    await failed(stackParams(), withPull(bench.again(), image));

    expect(bench.containers.size).toBe(0);
  });
});

describe('a launch that fails', () => {
  it('takes away everything it made, the folders too', async () => {
    const bench = stackBench({ stacks: (usual) => ({ up: failingAfter(usual.up) }) });

    const { code, output } = await failed(stackParams(), bench);

    expect(code).toBe('compose.failed');
    expect(bench.containers.size).toBe(0);
    expect(bench.networks.size).toBe(0);
    expect(bench.calls).toEqual(expect.arrayContaining(['removeData stack-1 (data)', 'forget stack-1']));
    expect(output).toMatchObject({
      ...{ state: 'failed', topology: { services: [{ state: 'failed' }, { state: 'failed' }] } },
      cleanup: { removed: expect.arrayContaining([`container ${db}`, `container ${web}`, 'network gpuaas-stack-1']) },
    });
  });

  it('leaves what was at work before it', async () => {
    const bench = stackBench();
    await launchStack(stackParams(), bench.context);
    bench.calls.splice(0);
    const image = () => Promise.reject(new AgentError('image.unauthorized'));

    const { code, output } = await failed(stackParams(), withPull(bench.again({ taskId: 'task-2' }), image));

    expect(code).toBe('image.unauthorized');
    expect(bench.calls).toEqual([]);
    expect(output.cleanup?.kept).toEqual([`container ${web}`, `container ${db}`].sort());
  });

  it('names the service that ended while others came up, at once, and ends Compose', async () => {
    const end = Promise.withResolvers<number>();
    const aborted = Promise.withResolvers<void>();
    const wait = async (name: string, signal: AbortSignal) => {
      if (name === db) return await end.promise;
      return await new Promise<number>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    };
    const bench = stackBench({
      engine: { wait },
      stacks: (usual) => ({
        up: async (stack, options) => {
          await usual.up(stack, options);
          bench.containers.set(db, { ...serviceOf(bench.containers, db), status: 'exited', exitCode: 3 });
          end.resolve(3);
          await new Promise<void>((resolve) => options.signal.addEventListener('abort', () => resolve()));
          aborted.resolve();
          options.signal.throwIfAborted();
        },
      }),
    });

    const { code, detail } = await failed(stackParams(), bench);

    await aborted.promise;
    expect({ code, detail }).toMatchObject({ code: 'container.exited', detail: { service: 'db', exit_code: 3 } });
    expect(bench.containers.size).toBe(0);
  });

  it('names the service that others waited for in vain, where it is unhealthy', async () => {
    const bench = stackBench({
      stacks: (usual) => ({
        up: async (stack, options) => {
          await usual.up(stack, options);
          bench.containers.set(db, { ...serviceOf(bench.containers, db), health: 'unhealthy' });
          throw new AgentError('compose.failed', { reason: 'dependency failed to start' });
        },
      }),
    });

    const { code, detail } = await failed(stackParams(), bench);

    expect({ code, detail }).toMatchObject({
      ...{ code: 'readiness.timed_out', detail: { service: 'db', answer: 'unhealthy' } },
    });
  });

  it('does not mind a service that has done its work', async () => {
    const condition = { condition: 'service_completed_successfully' } as const;
    const services = { db: aService(), web: aService({ depends_on: { db: condition } }) };
    const bench = stackBench({
      engine: { wait: async (name, signal) => (name === db ? 0 : await forever(signal)) },
      stacks: (usual) => ({
        up: async (stack, options) => {
          await usual.up(stack, options);
          bench.containers.set(db, { ...serviceOf(bench.containers, db), status: 'exited', exitCode: 0 });
        },
      }),
    });

    const output = await launchStack(stackParams({ document: { services } }), bench.context);

    expect(output.topology.services).toMatchObject([
      { name: 'web', state: 'running' },
      { name: 'db', state: 'stopped' },
    ]);
  });
});

describe('what is refused early', () => {
  it('is a single container of the same instance', async () => {
    const bench = stackBench();
    bench.containers.set('gpuaas-stack-1', serviceContainer('x', { name: 'gpuaas-stack-1' }));

    const { code, detail } = await failed(stackParams(), bench);

    expect({ code, detail }).toMatchObject({ code: 'task.invalid', detail: { errors: [{ path: '/type' }] } });
    expect(bench.calls).toEqual([]);
  });

  it('is a stack that the host has no room for, by the sum of its services', async () => {
    const services = { db: aService({ cpus: 5 }), web: aService({ cpus: 5 }) };
    const bench = stackBench();

    const { code, detail } = await failed(stackParams({ document: { services } }), bench);

    expect({ code, detail }).toMatchObject({
      ...{ code: 'resources.exceeded', detail: { errors: [{ path: '/params/document/services' }] } },
    });
    expect(bench.calls).toEqual([]);
  });

  it('is any stack where there is no Compose', async () => {
    const bench = stackBench({
      stacks: () => ({ version: () => Promise.reject(new AgentError('compose.unavailable')) }),
    });

    expect((await failed(stackParams(), bench)).code).toBe('compose.unavailable');
    expect(bench.calls).toEqual([]);
  });

  it('is the stack of another project', async () => {
    const bench = stackBench();
    bench.containers.set(
      web,
      serviceContainer('web', { labels: { ...serviceContainer('web').labels, [labels.project]: 'other' } }),
    );

    expect((await failed(stackParams(), bench)).code).toBe('task.untrusted');
    expect(bench.calls).toEqual([]);
  });
});

function serviceOf(containers: StackBench['containers'], name: string) {
  const found = containers.get(name);
  if (!found) throw new Error(`${name} is not there`);
  return found;
}

function failingAfter(up: StackBench['context']['stacks']['up']): typeof up {
  return async (stack, options) => {
    await up(stack, options);
    throw new AgentError('compose.failed', { reason: 'no such thing' });
  };
}

function withPull(bench: StackBench, pull: () => Promise<never>): StackBench {
  return { ...bench, context: { ...bench.context, engine: { ...bench.context.engine, pull } } };
}

function forever(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
}

async function failed(params: WorkloadComposeLaunchParams, { context }: StackBench) {
  const error = await launchStack(params, context).then(
    () => Promise.reject(new Error('the launch succeeded')),
    (thrown: unknown) => thrown,
  );
  const cause = error instanceof FailedTask ? error.cause : error;
  if (!(cause instanceof AgentError)) {
    throw cause;
  }
  const output = (error instanceof FailedTask ? error.output(cause.toFailure()) : {}) as StackOutput;
  return { code: cause.code, detail: cause.detail, output };
}
