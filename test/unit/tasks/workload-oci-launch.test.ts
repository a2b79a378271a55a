import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { AgentError, type Failure, type FailureCode } from '../../../src/contract/failures.ts';
import { labels } from '../../../src/contract/names.ts';
import { judge } from '../../../src/contract/validate.ts';
import { WorkloadOutput } from '../../../src/contract/workload-output.ts';
import type { ContainerEngine, PullOptions } from '../../../src/runtime/engine.ts';
import { FailedTask } from '../../../src/tasks/failed-task.ts';
import { launchOci } from '../../../src/tasks/workload-oci-launch.ts';
import { containerFacts, type RecordingEngine, recordingEngine } from '../../support/recording-engine.ts';
import {
  hostPolicy,
  imageReference,
  type LaunchParams,
  launchedContainer,
  launchParams,
  localImageId,
  localProvenance,
  taskContext,
} from '../../support/task-bench.ts';

const name = 'gpuaas-notebook-1';
const sealed = 'eyJhbGciOiJFQ0RILUVTIn0..aXY.dGV4dA.dGFn';

describe('a launch', () => {
  it('G-150: pulls, makes network and container, starts, probes, and looks once more', async () => {
    const { engine, calls } = recordingEngine();
    const { context, phases } = taskContext(engine);

    const output = await launchOci(launchParams(), context);

    expect(calls).toEqual([
      `inspect ${name}`,
      'list',
      `pull ${imageReference}`,
      'list',
      `ensureNetwork ${name}`,
      `create ${name}`,
      `start ${name}`,
      `exec ${name} true`,
      `wait ${name}`,
      `inspect ${name}`,
    ]);
    expect(phases).toEqual(['pulling', 'creating', 'starting', 'probing', 'running']);
    expect(output).toMatchObject({ state: 'running', failure: null, cleanup: null, adapter: { adopted: false } });
    expect(judge(WorkloadOutput, output).ok).toBe(true);
  });

  it('makes nothing after a restart that would be refused now', async () => {
    const { engine, calls } = recordingEngine();
    const { context } = taskContext(engine);
    const lacking = new AgentError('sandbox.unavailable', { sandbox: 'gvisor', reason: 'It is a runc.' });

    await expect(launchOci(launchParams(), { ...context, lacking })).rejects.toMatchObject({ cause: lacking });

    expect(calls.filter((call) => /^(pull|create|start)/.test(call))).toEqual([]);
  });

  it('makes the container while the engine makes the network, and starts it with both', async () => {
    const created = Promise.withResolvers<void>();
    const { engine, calls } = recordingEngine({ ensureNetwork: () => created.promise });
    const create: ContainerEngine['create'] = async (...args) => {
      const made = await engine.create(...args);
      expect(calls).not.toContain(`start ${name}`);
      created.resolve();
      return made;
    };

    await launchOci(launchParams(), taskContext({ ...engine, create }).context);

    expect(calls).toContain(`start ${name}`);
  });

  it('whose network cannot be made takes the container away that was made beside it', async () => {
    const { engine, calls, containers } = recordingEngine({
      ensureNetwork: async () => {
        throw new AgentError('network.exhausted', {});
      },
    });

    const failing = launchOci(launchParams(), taskContext(engine).context);

    await expect(failing).rejects.toMatchObject({ cause: { code: 'network.exhausted' } });
    expect(calls).toEqual(expect.arrayContaining([`create ${name}`, `remove ${name}`]));
    expect(containers.size).toBe(0);
  });

  it('G-158: labels what it makes with instance, project, allocation, task and fencing', async () => {
    const { engine, requests } = recordingEngine();
    let owner: unknown;
    const ensureNetwork: ContainerEngine['ensureNetwork'] = async (_name, given) => {
      owner = given;
    };

    await launchOci(
      launchParams(),
      taskContext({ ...engine, ensureNetwork }, { taskId: 'task-9', fencing: 7 }).context,
    );

    const whose = {
      [labels.instance]: 'notebook-1',
      [labels.project]: 'project-7',
      [labels.allocation]: 'alloc-1',
    };
    expect(requests[0]?.Labels).toMatchObject({ ...whose, [labels.task]: 'task-9', [labels.fencing]: '7' });
    expect(owner).toEqual(whose);
  });

  it('pulls with the credential of the task, the reserve of the host, and tells how far it is', async () => {
    let given: PullOptions | undefined;
    const { engine } = recordingEngine();
    const pull: ContainerEngine['pull'] = async (image, options) => {
      given = options;
      options.onProgress?.({ layers: 3, layersDone: 1, bytes: 2 ** 20, bytesTotal: null });
      options.onRetry?.({ attempt: 1, delayMs: 200, error: new Error('https://user:c4nary@registry/ failed') });
      return await engine.pull(image, options);
    };
    const credential = { bearer: 'c4nary' };
    const { context, events, logLines } = taskContext({ ...engine, pull }, { pullCredential: async () => credential });

    await launchOci(launchParams(), context);

    expect(given).toMatchObject({ diskReserveBytes: hostPolicy.reserves.disk_gib * 2 ** 30, signal: context.signal });
    expect(await given?.credential?.(context.signal)).toBe(credential);
    expect(events.find(({ type }) => type === 'image.progress')).toMatchObject({
      phase: 'pulling',
      message: '1 of 3 layers, 1.0 MiB',
      values: { layers: 3, layers_done: 1, bytes: 2 ** 20, bytes_total: null },
    });
    expect(logLines.join('')).toContain('pull failed, will retry');
    expect(logLines.join('')).not.toContain('c4nary');
  });

  it('runs a local image by its id and pulls nothing', async () => {
    const { engine, calls, images, requests } = recordingEngine();
    images.set(localImageId, {
      id: localImageId,
      repoDigests: [],
      env: [],
      volumes: [],
      workingDir: '',
      hasHealthcheck: false,
    });
    const { context } = taskContext(engine);

    const output = await launchOci(launchParams({ image: localImage() }), context);

    expect(calls.filter((call) => call.startsWith('pull'))).toEqual([]);
    expect(requests[0]?.Image).toBe(localImageId);
    expect(output.adapter.image_digest).toBeNull();
  });

  it('fails for a local image that this host does not have, with nothing made', async () => {
    const { engine, calls } = recordingEngine();

    const { failure } = await failed(engine, launchParams({ image: localImage() }));

    expect(failure).toMatchObject({ code: 'image.not_found', detail: { image: localImageId } });
    expect(calls).toEqual([`inspect ${name}`, 'list', `image ${localImageId}`]);
  });

  it('ends only where the engine says that it runs', async () => {
    const { engine, containers, defaults } = recordingEngine();
    let looks = 0;
    const inspect: ContainerEngine['inspect'] = async (asked, signal) => {
      looks += 1;
      const found = await defaults.inspect(asked, signal);
      // At the last look of the readiness checks, which have passed.
      return looks === 2 && found ? { ...found, status: 'exited', exitCode: 3, pid: 0 } : found;
    };

    const { failure } = await failed({ ...engine, inspect }, launchParams());

    expect(failure).toMatchObject({ code: 'container.exited' });
    expect(containers.size).toBe(0);
  });
});

describe('refused before the engine is asked for anything', () => {
  it.each<[string, Partial<LaunchParams>, FailureCode]>([
    [
      'G-157: a tag',
      { image: { ...registryImage(), reference: '127.0.0.1:5000/curated/x:latest' } },
      'image.not_pinned',
    ],
    [
      'G-212: another registry',
      { image: { ...registryImage(), reference: imageReference.replace('127.0.0.1:5000', 'evil.example') } },
      'image.registry_denied',
    ],
    [
      'an image that was not listed',
      { image: { ...localImage(), image_id: `sha256:${'c'.repeat(64)}` } },
      'policy.refused',
    ],
    ['a loader variable', { env: { LD_PRELOAD: '/x.so' } }, 'policy.refused'],
    ['a sealed device variable', { sealed_env: { NVIDIA_VISIBLE_DEVICES: sealed } }, 'policy.refused'],
    [
      'a mount over a system path',
      { mounts: [{ name: 'x', path: '/etc', mode: 'scratch', read_only: false }] },
      'mount.refused',
    ],
    [
      'G-139: storage that is not offered',
      { mounts: [{ name: 'x', path: '/x', mode: 'project_storage', read_only: false }] },
      'mount.refused',
    ],
    ['G-173: an option among packages', { python_packages: ['numpy', '--index-url=http://evil/'] }, 'packages.invalid'],
    ['G-161: a sandbox that is not offered', { sandbox: 'gvisor' }, 'sandbox.unavailable'],
    [
      'a probe of an undeclared endpoint',
      { readiness: [{ type: 'tcp', endpoint: 'web', timeout_seconds: 1 }] },
      'task.invalid',
    ],
  ])('%s', async (_name, over, code) => {
    const { engine, calls } = recordingEngine();
    const { context, phases } = taskContext(engine);

    await expect(launchOci(launchParams(over), context)).rejects.toMatchObject({ code });

    expect(calls).toEqual([]);
    expect(phases).toEqual([]);
  });
});

describe('FAULTS 12, 14: a container of the same spec', () => {
  it('is adopted and started, and no second one is made', async () => {
    const { engine, calls, containers } = recordingEngine();
    containers.set(name, launchedContainer(launchParams(), {}, { status: 'created', pid: 0, startedAt: null }));
    const { context, phases } = taskContext(engine);

    const output = await launchOci(launchParams(), context);

    // An agent that was killed had the container perhaps, and its network not yet.
    const made = calls.filter((call) => /^(create|list|ensureNetwork|remove|start)/.test(call));
    expect(made).toEqual(['list', 'list', `ensureNetwork ${name}`, `start ${name}`]);
    expect(phases).toEqual(['pulling', 'creating', 'starting', 'probing', 'running']);
    expect(output.adapter).toMatchObject({ adopted: true, container_id: 'found' });
  });

  it('is started anew where somebody has paused it: the same container, which is neither failed nor taken away', async () => {
    const { engine, containers, calls } = recordingEngine();
    containers.set(name, launchedContainer(launchParams(), {}, { status: 'paused' }));
    const { context, events } = taskContext(engine, { taskId: 'task-5', fencing: 2 });

    const output = await launchOci(launchParams(), context);

    expect(calls.filter((call) => /^(stop|start|create|remove) /.test(call))).toEqual([
      `stop ${name} 10`,
      `start ${name}`,
    ]);
    expect(events.map(({ type }) => type)).toContain('container.paused');
    expect(output).toMatchObject({ state: 'running', adapter: { adopted: true, container_id: 'found' } });
  });

  it('is adopted whoever launched it, under a higher fencing as well', async () => {
    const { engine, containers, requests } = recordingEngine();
    containers.set(name, launchedContainer(launchParams(), { taskId: 'task-0', fencing: 3 }));

    const output = await launchOci(launchParams(), taskContext(engine, { taskId: 'task-5', fencing: 9 }).context);

    expect(output.adapter.adopted).toBe(true);
    expect(requests).toEqual([]);
  });

  it('is not another one because its display name changed', async () => {
    const { engine, containers } = recordingEngine();
    containers.set(name, launchedContainer(launchParams()));
    const renamed = launchParams({ identity: { ...launchParams().identity, display_name: 'Renamed' } });

    expect((await launchOci(renamed, taskContext(engine).context)).adapter.adopted).toBe(true);
  });
});

describe('a container of another spec', () => {
  const other = launchParams({ env: { HOME: '/workspace', NEW: '1' } });

  it('is replaced by a task with a higher fencing, and its data stays', async () => {
    const { engine, calls, containers, networks, data } = recordingEngine();
    containers.set(name, launchedContainer(launchParams(), { fencing: 1 }));
    networks.add(name);
    data.add('notebook-1');
    const { context, events } = taskContext(engine, { fencing: 2 });

    const output = await launchOci(other, context);

    expect(calls.slice(3, 9)).toEqual([
      'list',
      `remove ${name}`,
      `removeNetwork ${name}`,
      'removeData notebook-1',
      `ensureNetwork ${name}`,
      `create ${name}`,
    ]);
    expect(output).toMatchObject({ state: 'running', adapter: { adopted: false, container_id: 'c1' } });
    expect(events.map(({ type }) => type)).toContain('container.replaced');
    expect([...data]).toEqual(['notebook-1']);
  });

  it('FAULTS 6: is left alone by a task with the same fencing, which is stale', async () => {
    const { engine, calls, containers } = recordingEngine();
    const running = launchedContainer(launchParams(), { fencing: 2 });
    containers.set(name, running);

    const { failure, output } = await failed(engine, other, { fencing: 2 });

    expect(failure).toMatchObject({ code: 'task.stale', detail: { fencing: 2, seen: 2 } });
    expect(output).toMatchObject({
      state: 'failed',
      cleanup: { removed: [], kept: [`container ${name}`], failed: [] },
    });
    expect(containers.get(name)).toBe(running);
    expect(calls.filter((call) => /^(remove|stop|start|create)/.test(call))).toEqual([]);
  });

  it('FAULTS 6: is left alone by a task with a lower fencing, before anything is pulled', async () => {
    const { engine, calls, containers } = recordingEngine();
    const running = launchedContainer(launchParams(), { fencing: 5 });
    containers.set(name, running);

    const { failure } = await failed(engine, launchParams(), { fencing: 4 });

    expect(failure).toMatchObject({ code: 'task.stale', detail: { fencing: 4, seen: 5 } });
    expect(calls).toEqual([`inspect ${name}`, 'list']);
    expect(containers.get(name)).toBe(running);
  });

  it('keeps running where the new one does not fit, or its image cannot be had', async () => {
    const big = launchParams({ resources: { gpu_count: 0, cpu_cores: 64, memory_gib: 1 } });
    const away: Partial<ContainerEngine> = { pull: () => Promise.reject(new AgentError('image.pull_failed')) };

    for (const [overrides, params, code] of [
      [{}, big, 'resources.exceeded'],
      [away, other, 'image.pull_failed'],
    ] as const) {
      const { engine, containers } = recordingEngine(overrides);
      const running = launchedContainer(launchParams(), { fencing: 1 });
      containers.set(name, running);

      const { failure } = await failed(engine, params, { fencing: 2 });

      expect(failure.code).toBe(code);
      expect(containers.get(name)).toBe(running);
    }
  });

  it.each(['sealed_files', 'sealed_env'])('keeps running where %s of the new one cannot be opened', async (field) => {
    const { engine, containers, calls } = recordingEngine();
    const running = launchedContainer(launchParams(), { fencing: 1 });
    containers.set(name, running);
    const sealed = field === 'sealed_env' ? { TOKEN: 'a.b.c.d.e' } : { '/run/secrets/token': 'a.b.c.d.e' };
    const unseal = () => Promise.reject(new AgentError('secret.unavailable'));

    const { failure } = await failed(engine, launchParams({ [field]: sealed }), { fencing: 2, unseal });

    expect(failure.code).toBe('secret.unavailable');
    expect(containers.get(name)).toBe(running);
    expect(calls.filter((call) => call.startsWith('remove'))).toEqual([]);
  });

  it('whose removal fails fails the launch, and nothing new is made beside it', async () => {
    const stuck = new AgentError('engine.timed_out', { call: 'remove' });
    const { engine, containers, requests } = recordingEngine({ remove: () => Promise.reject(stuck) });
    containers.set(name, launchedContainer(launchParams(), { fencing: 1 }));

    const { failure, output } = await failed(engine, other, { fencing: 2 });

    expect(failure.code).toBe('engine.timed_out');
    expect(output?.cleanup?.failed).toEqual([expect.stringContaining(`container ${name}`)]);
    expect(requests).toEqual([]);
  });

  it('leaves its resources to the one that replaces it', async () => {
    const { engine, containers } = recordingEngine();
    containers.set(name, launchedContainer(launchParams(), { fencing: 1 }, { cpuCores: 8 }));
    const all = launchParams({ resources: { gpu_count: 0, cpu_cores: 8, memory_gib: 1 } });

    expect((await launchOci(all, taskContext(engine, { fencing: 2 }).context)).state).toBe('running');
  });
});

describe('a launch that fails leaves nothing behind', () => {
  const packages = launchParams({
    python_packages: ['numpy==2.4.4'],
    sealed_files: { '/run/secrets/token': sealed },
  });
  const broken = () => Promise.reject(new AgentError('engine.timed_out', { call: 'the one that breaks' }));
  const exec =
    (exitCodes: Record<string, number>): ContainerEngine['exec'] =>
    async (_name, [program = '']) => ({ exitCode: exitCodes[program] ?? 0, tail: 'no such package', adopted: false });
  const phases: [string, Partial<ContainerEngine>, FailureCode, string][] = [
    ['making the network', { ensureNetwork: broken }, 'engine.timed_out', 'creating'],
    ['handing over secrets', { putSecrets: broken }, 'engine.timed_out', 'creating'],
    ['creating', { create: broken }, 'engine.timed_out', 'creating'],
    ['starting', { start: broken }, 'engine.timed_out', 'starting'],
    ['installing packages', { exec: exec({ python: 1 }) }, 'packages.failed', 'installing_packages'],
    ['probing', { wait: async () => 1, exec: exec({ true: 1 }) }, 'container.exited', 'probing'],
  ];

  it.each(phases)('while %s', async (_name, overrides, code, phase) => {
    const recorded = recordingEngine(overrides);

    const { failure, output, phases: seen } = await failed(recorded.engine, packages);

    expect(failure.code).toBe(code);
    expect(seen.at(-1)).toBe(phase);
    expect(recorded.containers.size).toBe(0);
    expect(recorded.networks.size).toBe(0);
    expect(recorded.secrets.size).toBe(0);
    expect(recorded.calls.filter((call) => call === `remove ${name}`)).toHaveLength(1);
    expect(recorded.calls.filter((call) => call === `removeNetwork ${name}`)).toHaveLength(1);
    expect(recorded.calls.filter((call) => call.startsWith('removeData'))).toHaveLength(1);
    expect(output).toMatchObject({
      state: 'failed',
      failure: { code },
      cleanup: { failed: [] },
      endpoints: [],
      adapter: { container_id: null, container_name: name },
    });
    expect(judge(WorkloadOutput, output).ok).toBe(true);
  });

  it('its fresh data with it', async () => {
    const { engine, data } = recordingEngine({ start: broken });

    const { output } = await failed(engine, launchParams());

    expect([...data]).toEqual([]);
    expect(output?.cleanup).toEqual({
      removed: [`container ${name}`, `network ${name}`, 'folder /home/tenant/gpuaas/workloads/notebook-1'],
      kept: [],
      failed: [],
    });
  });

  it('but the data of an earlier launch', async () => {
    const { engine, data } = recordingEngine({ start: broken });
    data.add('notebook-1');

    const { output } = await failed(engine, launchParams());

    expect([...data]).toEqual(['notebook-1']);
    expect(output?.cleanup?.kept).toEqual(['folder /home/tenant/gpuaas/workloads/notebook-1']);
  });

  it('not even the container that an earlier run of the same task had made', async () => {
    const { engine, containers } = recordingEngine({
      pull: () => Promise.reject(new AgentError('image.rate_limited')),
    });
    containers.set(name, launchedContainer(launchParams(), { taskId: 'task-1' }, { status: 'created' }));

    const { failure } = await failed(engine, launchParams(), { taskId: 'task-1' });

    expect(failure.code).toBe('image.rate_limited');
    expect(containers.size).toBe(0);
  });

  it('not even the container of this spec that it adopted, whose data stays', async () => {
    const { engine, containers, data } = recordingEngine({ start: broken });
    containers.set(name, launchedContainer(launchParams(), { taskId: 'task-0' }, { status: 'created' }));
    data.add('notebook-1');

    const { failure } = await failed(engine, launchParams());

    expect(failure.code).toBe('engine.timed_out');
    expect(containers.size).toBe(0);
    expect([...data]).toEqual(['notebook-1']);
  });

  it('but a running container that another task launched, which is left as it is', async () => {
    const { engine, containers, calls } = recordingEngine({
      exec: async () => ({ exitCode: 1, tail: 'no', adopted: false }),
    });
    const params = launchParams({ python_packages: ['numpy'] });
    containers.set(name, launchedContainer(params, { taskId: 'task-0' }));

    const { failure } = await failed(engine, params);

    expect(failure.code).toBe('packages.failed');
    expect(containers.get(name)?.status).toBe('running');
    expect(calls.filter((call) => call.startsWith('remove'))).toEqual([]);
  });

  it('but not what an earlier run of the same task had made ready, which is at work', async () => {
    const { engine, containers, calls } = recordingEngine({ pull: broken });
    containers.set(name, launchedContainer(launchParams(), { taskId: 'task-1' }));

    const { failure, output } = await failed(engine, launchParams(), { taskId: 'task-1' });

    expect(failure.code).toBe('engine.timed_out');
    expect(output).toMatchObject({ cleanup: { removed: [], kept: [`container ${name}`] } });
    expect(containers.get(name)?.status).toBe('running');
    expect(calls.filter((call) => call.startsWith('remove'))).toEqual([]);
  });

  it.each<FailureCode>(['engine.timed_out', 'engine.unavailable'])(
    'but not what may be at work, while nobody can tell because of %s',
    async (code) => {
      const { engine, containers, calls } = recordingEngine({
        exec: () => Promise.reject(new AgentError(code)),
        pull: broken,
      });
      containers.set(name, launchedContainer(launchParams(), { taskId: 'task-1' }));

      const { failure } = await failed(engine, launchParams(), { taskId: 'task-1' });

      expect(failure.code).toBe(code);
      expect(containers.get(name)?.status).toBe('running');
      expect(calls.filter((call) => call.startsWith('remove'))).toEqual([]);
    },
  );

  it('nothing to take away where nothing was made: a full host, a pull that fails', async () => {
    const full = recordingEngine();
    full.containers.set('gpuaas-other', containerFacts({ name: 'gpuaas-other', labels: {}, cpuCores: 8 }));
    const away = recordingEngine({ pull: broken });

    const refused = await failed(full.engine, launchParams());
    const unpulled = await failed(away.engine, launchParams());

    const nothing = { state: 'failed', cleanup: { removed: [], kept: [], failed: [] } };
    expect(refused).toMatchObject({ failure: { code: 'resources.exceeded' }, output: nothing });
    expect(unpulled).toMatchObject({ failure: { code: 'engine.timed_out' }, output: nothing });
    expect([...full.calls, ...away.calls].filter((call) => call.startsWith('remove'))).toEqual([]);
  });

  it('FAULTS 23: the port to whoever holds it', async () => {
    const holder = createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    const { port } = holder.address() as { port: number };
    const { engine, calls } = recordingEngine();

    const ports = [{ name: 'web', container_port: 8888, host_port: port, protocol: 'http' as const }];
    const { failure } = await failed(engine, launchParams({ ports }));
    const stillThere = holder.listening;
    holder.close();

    expect(failure).toMatchObject({ code: 'port.conflict', detail: { port } });
    expect(calls.filter((call) => /^(create|ensureNetwork|remove)/.test(call))).toEqual([]);
    expect(stillThere).toBe(true);
  });

  it.each(['ensureNetwork', 'putSecrets', 'create'] as const)(
    'also when it is cancelled during %s, which is waited for: it could end after the clean-up',
    async (method) => {
      const controller = new AbortController();
      const recorded: RecordingEngine = recordingEngine({
        [method]: async (...args: never[]) => {
          controller.abort(new Error('cancelled'));
          return await (recorded.defaults[method] as (...args: never[]) => Promise<unknown>)(...args);
        },
      });

      const launched = launchOci(packages, taskContext(recorded.engine, { signal: controller.signal }).context);

      await expect(launched).rejects.toMatchObject({ cause: { message: 'cancelled' } });
      const { containers, networks, secrets, data, calls } = recorded;
      expect([containers.size, networks.size, secrets.size, data.size]).toEqual([0, 0, 0, 0]);
      expect(calls.filter((call) => call.startsWith('start'))).toEqual([]);
    },
  );

  it('also when its own time is over: the clean-up has a signal of its own', async () => {
    const controller = new AbortController();
    const reason = new Error('cancelled');
    const recorded = recordingEngine({
      start: async (_name, signal) => {
        controller.abort(reason);
        signal.throwIfAborted();
      },
    });

    const error = await launchOci(
      launchParams(),
      taskContext(recorded.engine, { signal: controller.signal }).context,
    ).catch((thrown: unknown) => thrown);

    expect(error).toBeInstanceOf(FailedTask);
    expect((error as FailedTask).cause).toBe(reason);
    expect([recorded.containers.size, recorded.networks.size, recorded.data.size]).toEqual([0, 0, 0]);
  });

  it('and says what it could not take away', async () => {
    const { engine, networks } = recordingEngine({ start: broken, removeNetwork: broken });

    const { failure, output } = await failed(engine, launchParams());

    expect(failure.detail).toEqual({ call: 'the one that breaks' });
    expect(output?.cleanup).toMatchObject({
      removed: [`container ${name}`, 'folder /home/tenant/gpuaas/workloads/notebook-1'],
      failed: [expect.stringContaining(`network ${name}: `)],
    });
    expect(networks.size).toBe(1);
  });

  it('not even its claim to CPU and memory', async () => {
    const { engine } = recordingEngine({ create: broken });
    const { context } = taskContext(engine);
    const all = launchParams({ resources: { gpu_count: 0, cpu_cores: 8, memory_gib: 31 } });
    await expect(launchOci(all, context)).rejects.toBeInstanceOf(FailedTask);

    const release = await context.admission.reserve('next', all.resources, context.signal);

    expect(release).toBeTypeOf('function');
  });
});

describe('G-174: packages', () => {
  const argv = ['python', '-m', 'pip', 'install', '--no-cache-dir', '--', 'numpy==2.4.4', 'pandas>=2.2'];
  const withPackages = launchParams({ python_packages: ['numpy==2.4.4', 'pandas>=2.2'] });

  it('are installed by argument vector, between start and readiness', async () => {
    const { engine, calls, execs } = recordingEngine();
    const { context, phases } = taskContext(engine);

    await launchOci(withPackages, context);

    expect(execs[0]).toEqual(argv);
    expect(calls.slice(6, 9)).toEqual([`start ${name}`, `exec ${name} ${argv.join(' ')} (adopt)`, `exec ${name} true`]);
    expect(phases.slice(2)).toEqual(['starting', 'installing_packages', 'probing', 'running']);
  });

  it('are no phase where there are none', async () => {
    const { engine, execs } = recordingEngine();
    const { context, phases } = taskContext(engine);

    const output = await launchOci(launchParams(), context);

    expect(execs).toEqual([['true']]);
    expect(phases).not.toContain('installing_packages');
    expect(output.adapter.packages_excerpt).toBeNull();
  });

  it('G-196: are installed in the container and nowhere else: nothing runs but through the engine', async () => {
    const { engine, calls, execs } = recordingEngine();

    await launchOci(withPackages, taskContext(engine).context);

    const ran = calls.filter((call) => call.startsWith('exec'));
    expect(ran.length).toBeGreaterThan(0);
    expect(ran.filter((call) => !call.startsWith(`exec ${name} `))).toEqual([]);
    expect(execs.flat().filter((word) => /^(sh|bash|apt|apt-get|dnf|yum|sudo|docker|npm)$/.test(word))).toEqual([]);
  });

  it('leave a bounded end of their output in the result, without credentials, and all of it in the log', async () => {
    const tail = `${'x'.repeat(10_000)} Looking in indexes: https://user:c4nary@pypi.example/simple\nInstalled`;
    const { engine } = recordingEngine({
      exec: async (_name, [program], { onOutput }) => {
        onOutput?.('stdout', program === 'python' ? 'Collecting numpy==2.4.4\n' : '');
        return { exitCode: 0, tail: program === 'python' ? tail : '', adopted: false };
      },
    });
    const { context, logLines } = taskContext(engine);

    const { adapter } = await launchOci(withPackages, context);

    expect(adapter.packages_excerpt).toHaveLength(4096);
    expect(adapter.packages_excerpt?.endsWith('@pypi.example/simple\nInstalled')).toBe(true);
    expect(adapter.packages_excerpt).not.toContain('c4nary');
    expect(logLines.join('')).toContain('Collecting numpy==2.4.4');
  });

  it('that cannot be installed fail the launch with exit code and excerpt', async () => {
    const { engine } = recordingEngine({
      exec: async () => ({
        exitCode: 1,
        tail: 'ERROR: No matching distribution found for numpy==2.4.4',
        adopted: false,
      }),
    });

    const { failure } = await failed(engine, withPackages);

    expect(failure).toMatchObject({
      code: 'packages.failed',
      detail: { exit_code: 1, excerpt: 'ERROR: No matching distribution found for numpy==2.4.4' },
    });
  });

  it('FAULTS 13: whose installation still runs are joined', async () => {
    const { engine, execs } = recordingEngine({
      exec: async (_name, [program]) => ({ exitCode: 0, tail: '', adopted: program === 'python' }),
    });

    const { adapter } = await launchOci(withPackages, taskContext(engine).context);

    expect(execs).toEqual([argv, ['true']]);
    expect(adapter.packages_excerpt).toBe('');
  });

  it('FAULTS 13: whose joined installation failed are installed again, to learn why', async () => {
    const results = [
      { exitCode: 1, tail: '', adopted: true },
      { exitCode: 0, tail: 'Successfully installed', adopted: false },
      { exitCode: 0, tail: '', adopted: false },
    ];
    const { engine, calls } = recordingEngine({
      exec: async () => results.shift() ?? Promise.reject(new Error('once more')),
    });

    const { adapter } = await launchOci(withPackages, taskContext(engine).context);

    expect(calls.filter((call) => call.includes('pip'))).toEqual([
      `exec ${name} ${argv.join(' ')} (adopt)`,
      `exec ${name} ${argv.join(' ')}`,
    ]);
    expect(adapter.packages_excerpt).toBe('Successfully installed');
  });

  it('FAULTS 26, 27: whose container ends meanwhile fail with its exit and the end of its log', async () => {
    const { engine, defaults } = recordingEngine({
      exec: () => Promise.reject(new AgentError('container.exited', { reason: 'It ended while a command ran in it.' })),
      inspect: async (asked, signal) => {
        const found = await defaults.inspect(asked, signal);
        return found && { ...found, status: 'exited', exitCode: 137, oomKilled: true };
      },
      logs: async function* () {
        yield { cursor: '1', time: '', channel: 'stderr', data: Buffer.from('out of memory\n'), partial: true };
      },
    });

    const { failure } = await failed(engine, withPackages);

    expect(failure).toMatchObject({
      code: 'container.oom_killed',
      detail: { exit_code: 137, excerpt: 'out of memory' },
    });
  });
});

it('a launch that fails keeps the output of its container before it takes it away', async () => {
  const { engine, calls } = recordingEngine({
    exec: async () => ({ exitCode: 1, tail: '', adopted: false }),
    logs: async function* () {
      calls.push('logs');
      yield { cursor: '1', time: '', channel: 'stdout', data: Buffer.from('no such model'), partial: false };
    },
  });
  const { context, logLines } = taskContext(engine);

  await expect(launchOci(launchParams({ python_packages: ['numpy'] }), context)).rejects.toThrow(FailedTask);

  expect(logLines.some((line) => line.includes('"msg":"container output"') && line.includes('no such model'))).toBe(
    true,
  );
  expect(calls.indexOf('logs')).toBeGreaterThan(-1);
  expect(calls.lastIndexOf('logs')).toBeLessThan(calls.indexOf(`remove ${name}`));
});

describe('secrets', () => {
  const withSecrets = launchParams({
    sealed_env: { API_KEY: `${sealed}a` },
    sealed_files: { '/run/secrets/token': `${sealed}b`, '/run/secrets/cert.pem': `${sealed}c` },
  });

  it('are opened into the environment and into files in memory, before the container is made', async () => {
    const { engine, calls, requests, secrets } = recordingEngine();

    await launchOci(withSecrets, taskContext(engine).context);

    expect(requests[0]?.Env).toContain(`API_KEY=opened ${sealed}a`);
    expect(
      Object.fromEntries(Object.entries(secrets.get('notebook-1') ?? {}).map(([file, bytes]) => [file, String(bytes)])),
    ).toEqual({
      token: `opened ${sealed}b`,
      'cert.pem': `opened ${sealed}c`,
    });
    expect(calls.indexOf('putSecrets notebook-1 token cert.pem')).toBeLessThan(calls.indexOf(`create ${name}`));
  });

  it('are in no label, no event and no line of the log', async () => {
    const { engine, requests } = recordingEngine();
    const { context, events, logLines } = taskContext(engine, { unseal: async () => Buffer.from('c4nary') });

    const output = await launchOci(withSecrets, context);

    expect(JSON.stringify([output, events, logLines, requests[0]?.Labels])).not.toContain('c4nary');
  });

  it('that cannot be opened fail the launch before anything is made', async () => {
    const { engine, calls } = recordingEngine();
    const unseal = () => Promise.reject(new AgentError('secret.unavailable'));

    const { failure } = await failed(engine, withSecrets, { unseal });

    expect(failure.code).toBe('secret.unavailable');
    expect(calls.filter((call) => /^(create|putSecrets|ensureNetwork)/.test(call))).toEqual([]);
  });

  it('are not handed over where there are none', async () => {
    const { engine, calls } = recordingEngine();

    await launchOci(launchParams(), taskContext(engine).context);

    expect(calls.filter((call) => call.startsWith('putSecrets'))).toEqual([]);
  });
});

function registryImage() {
  return launchParams().image as Extract<LaunchParams['image'], { kind: 'registry' }>;
}

function localImage(): Extract<LaunchParams['image'], { kind: 'local' }> {
  return { kind: 'local', image_id: localImageId, provenance: localProvenance };
}

interface Outcome {
  readonly failure: Failure;
  /** Undefined where the handler failed before it had anything to report on. */
  readonly output: WorkloadOutput | undefined;
  readonly phases: readonly string[];
}

/** Runs a launch that must fail. */
async function failed(
  engine: ContainerEngine,
  params: LaunchParams,
  over: Parameters<typeof taskContext>[1] = {},
): Promise<Outcome> {
  const { context, phases } = taskContext(engine, over);
  const error = await launchOci(params, context).then(
    () => Promise.reject(new Error('the launch succeeded')),
    (thrown: unknown) => thrown,
  );
  const cause = error instanceof FailedTask ? error.cause : error;
  if (!(cause instanceof AgentError)) {
    throw cause;
  }
  const failure = cause.toFailure();
  return {
    failure,
    output: error instanceof FailedTask ? (error.output(failure) as WorkloadOutput) : undefined,
    phases,
  };
}

describe('what can be refused early', () => {
  it.each([
    ['more cores than the host has', { cpu_cores: 4096, memory_gib: 0.1, gpu_count: 0 }, '/params/resources/cpu_cores'],
    ['more memory', { cpu_cores: 0.1, memory_gib: 65536, gpu_count: 0 }, '/params/resources/memory_gib'],
  ])('%s is refused before the engine is asked, with the path', async (_what, resources, path) => {
    const { engine, calls } = recordingEngine();

    const { failure } = await failed(engine, launchParams({ resources }));

    expect(failure).toMatchObject({ code: 'resources.exceeded', detail: { errors: [{ path }] } });
    expect(calls).toEqual([]);
  });

  it('refusals of the policy point into the task like those of its schema', async () => {
    const { engine } = recordingEngine();

    const { failure } = await failed(engine, launchParams({ env: { LD_PRELOAD: 'x' } }));

    expect(failure.detail['errors']).toMatchObject([{ path: '/params/env/LD_PRELOAD' }]);
    expect(failure.message).toContain(' /params/env/LD_PRELOAD ');
  });

  it('an instance that is a stack is refused before anything happens', async () => {
    const service = { ...launchedContainer(launchParams()), name: `${name}.web` };
    const { engine, containers, calls } = recordingEngine();
    containers.set(service.name, { ...service, labels: { ...service.labels, [labels.service]: 'web' } });

    const { failure } = await failed(engine, launchParams(), { fencing: 99 });

    expect(failure).toMatchObject({
      code: 'task.invalid',
      detail: { errors: [{ path: '/type', code: 'other_kind' }] },
    });
    expect(calls).toEqual([`inspect ${name}`, 'list']);
  });

  it('the instance of another project is refused, and left as it is', async () => {
    const { engine, containers, calls } = recordingEngine();
    containers.set(name, launchedContainer(launchParams()));
    const foreign = launchParams();

    const { failure } = await failed(
      engine,
      { ...foreign, identity: { ...foreign.identity, project_id: 'project-8' } },
      { fencing: 99 },
    );

    expect(failure).toMatchObject({
      code: 'task.untrusted',
      detail: { errors: [{ path: '/params/identity/project_id' }] },
    });
    expect(calls).toEqual([`inspect ${name}`, 'list']);
  });
});
