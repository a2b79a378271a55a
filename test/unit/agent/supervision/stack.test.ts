import { afterEach, describe, expect, it } from 'vitest';
import type { KeptWorkload } from '../../../../src/agent/journal/journal.ts';
import type { ComposeDocument } from '../../../../src/contract/compose-document.ts';
import { AgentError } from '../../../../src/contract/failures.ts';
import { labels } from '../../../../src/contract/names.ts';
import type { WorkloadComposeLaunchParams } from '../../../../src/contract/workload-compose-launch.ts';
import type { ContainerEngine, ContainerFacts } from '../../../../src/runtime/engine.ts';
import { endedTask, keptStack } from '../../../support/kept-workloads.ts';
import { containerFacts } from '../../../support/recording-engine.ts';
import { stackParams } from '../../../support/stack-bench.ts';
import { stops, supervise } from '../../../support/supervised.ts';

const web = 'gpuaas-stack-1.web';
const db = 'gpuaas-stack-1.db';

afterEach(async () => {
  await Promise.all(stops.splice(0).map((stop) => stop()));
});

function serviceFacts(service: string, over: Partial<ContainerFacts> = {}, more: Record<string, string> = {}) {
  return containerFacts({
    ...{ id: service, name: `gpuaas-stack-1.${service}` },
    labels: { ...containerFacts().labels, [labels.instance]: 'stack-1', [labels.service]: service, ...more },
    ...over,
  });
}

/** A stack of two services that runs. */
async function superviseStack(row: KeptWorkload = keptStack(), overrides: Partial<ContainerEngine> = {}) {
  const world = await supervise([row], [serviceFacts('web'), serviceFacts('db')], overrides);
  const end = (container: string, over: Partial<ContainerFacts>) => world.end(over, container);
  return { ...world, end, row: () => world.rows.get('stack-1'), facts: () => world.supervisor.workloads()[0] };
}

/** `web` waits for `init` to have done its work. */
const withInit: ComposeDocument = {
  services: {
    init: stackParams().document.services['db'] as ComposeDocument['services'][string],
    web: {
      ...(stackParams().document.services['web'] as ComposeDocument['services'][string]),
      depends_on: { init: { condition: 'service_completed_successfully' } },
    },
  },
};

function initParams(over: Partial<WorkloadComposeLaunchParams> = {}): WorkloadComposeLaunchParams {
  const services = ['init', 'web'].map((name) => ({ name, role: name, endpoints: [], mounts: [] }));
  return stackParams({ document: withInit, topology: { description: 'A server and its setup.', services }, ...over });
}

const kept = (service: string, state: 'running' | 'stopped' = 'running') => {
  return { service, state, since: '2026-11-25T11:00:00.000Z', restarts: 0, streak: 0 };
};

describe('a service that ends', () => {
  it('is told by name, is started again alone, and the stack is degraded meanwhile', async () => {
    const world = await superviseStack();

    await world.end(db, { exitCode: 3 });
    const during = world.facts();
    await world.clock.advance(1000);
    await expect.poll(() => world.row()?.state).toBe('running');

    expect(during).toMatchObject({ state: 'degraded', services: [{ state: 'running' }, { state: 'degraded' }] });
    expect(world.events[0]).toMatchObject({
      ...{ state: 'degraded', failure: { code: 'container.exited', detail: { service: 'db', exit_code: 3 } } },
      event: { time: '2026-11-25T12:00:00.000000001Z', values: { service: 'db' } },
    });
    expect(world.events[0]?.event.message).toBe('The service db ended with 3; it is started again.');
    expect(world.said()).toEqual(['container.exited degraded', 'workload.restarted', 'workload.running running']);
    expect(world.calls.filter((call) => call.startsWith('start'))).toEqual([`start ${db}`]);
    expect(world.row()).toMatchObject({
      restarts: 1,
      stack: { services: [{ restarts: 0 }, { restarts: 1, streak: 1 }] },
    });
  });

  it('and is given up makes the stack failed, naming it, while the others are looked after as before', async () => {
    const world = await superviseStack(
      keptStack({}, stackParams({ restart: { policy: 'on_failure', max_retries: 1 } })),
    );
    await world.end(db, { exitCode: 1 });
    await world.clock.advance(1000);
    await expect.poll(() => world.row()?.state).toBe('running');

    await world.end(db, { exitCode: 1, startedAt: '2026-11-25T12:00:02Z', finishedAt: '2026-11-25T12:00:05Z' });
    const failed = world.events.at(-1);
    await world.end(web, { exitCode: 2 });
    await world.clock.advance(1000);

    expect(failed).toMatchObject({ state: 'failed', failure: { detail: { service: 'db' } } });
    expect(failed?.event.message).toBe(
      'The service db ended with 1; it was restarted 1 times in a row and is left so.',
    );
    expect(world.row()).toMatchObject({
      state: 'failed',
      stack: {
        services: [
          { service: 'web', restarts: 1 },
          { service: 'db', state: 'failed' },
        ],
      },
    });
    expect(world.calls.filter((call) => call.startsWith('start'))).toEqual([`start ${db}`, `start ${web}`]);
  });

  it('counts its restarts and waits its backoff by itself', async () => {
    const world = await superviseStack(keptStack({}, stackParams({ restart: { policy: 'always', max_retries: 9 } })));
    for (const finishedAt of ['2026-11-25T12:00:01Z', '2026-11-25T12:00:02Z']) {
      await world.end(db, { exitCode: 1, startedAt: '2026-11-25T12:00:00Z', finishedAt });
      await world.clock.advance(4000);
      await expect.poll(() => world.row()?.state).toBe('running');
    }

    await world.end(web, { exitCode: 1 });
    const delays = world.clock.waiting();

    expect(delays).toContain(1000);
    expect(world.row()).toMatchObject({ stack: { services: [{ streak: 0 }, { streak: 2 }] } });
  });

  it('together with another is told for each, and both come back', async () => {
    const world = await superviseStack();

    await Promise.all([world.end(db, { exitCode: 1 }), world.end(web, { exitCode: 1 })]);
    await world.clock.advance(1000);
    await expect.poll(() => world.row()?.state).toBe('running');

    expect(world.said().filter((said) => said.startsWith('container.exited'))).toHaveLength(2);
    expect(world.said().filter((said) => said.endsWith(' running'))).toEqual(['workload.running running']);
    expect(world.row()).toMatchObject({ restarts: 2 });
  });

  it('for its memory is told with the service, by the event of the engine alone', async () => {
    const world = await superviseStack();

    world.change({ status: 'exited', exitCode: 137, finishedAt: '2026-11-25T12:00:00Z' }, db);
    world.stream.say({ instance: 'stack-1', container: db, action: 'oom' });
    world.stream.say({ instance: 'stack-1', container: db, action: 'die', exitCode: 137 });
    await world.clock.advance(0);

    expect(world.events[0]).toMatchObject({ failure: { code: 'container.oom_killed', detail: { service: 'db' } } });
  });

  it('after a stop that was asked for is no failure, and the stack is stopped when all are', async () => {
    const world = await superviseStack(keptStack({ desired: 'stopped' }));

    await world.end(web, { exitCode: 143 });
    const half = world.row()?.state;
    await world.end(db, { exitCode: 137 });

    expect([half, world.row()?.state]).toEqual(['degraded', 'stopped']);
    expect(world.events.map(({ failure }) => failure)).toEqual([null, null]);
  });
});

describe('a service that others wait for to have done its work', () => {
  const row = () => keptStack({ stack: { params: initParams(), services: [kept('init'), kept('web')] } });
  const init = 'gpuaas-stack-1.init';

  it('is done with 0: the stack runs, whatever the policy says', async () => {
    const always = initParams({ restart: { policy: 'always', max_retries: 9 } });
    const stack = { params: always, services: [kept('init'), kept('web')] };
    const world = await supervise([keptStack({ stack })], [serviceFacts('web'), serviceFacts('init')]);

    await world.end({ exitCode: 0 }, init);
    world.containers.delete(init);
    await world.clock.advance(600_000);

    expect(world.said()).toEqual(['service.completed']);
    expect(world.events[0]?.failure).toBeNull();
    expect(world.supervisor.workloads()).toMatchObject([
      { state: 'running', services: [{ service: 'init', state: 'stopped' }, { state: 'running' }] },
    ]);
  });

  it('is started again where it failed', async () => {
    const world = await supervise([row()], [serviceFacts('web'), serviceFacts('init')]);

    await world.end({ exitCode: 1 }, init);
    await world.clock.advance(1000);

    expect(world.calls).toContain(`start ${init}`);
  });
});

describe('a service that is started again', () => {
  it('gets its own secret files, its network, and room for the whole stack', async () => {
    const sealed_files = { db: { '/run/secrets/key': 'a.b.c.d.e' }, web: { '/run/secrets/other': 'f.g.h.i.j' } };
    const world = await superviseStack(keptStack({}, stackParams({ sealed_files })));

    await world.end(db, { exitCode: 1 });
    await world.clock.advance(1000);

    expect(world.calls.filter((call) => /^(putSecrets|ensureNetwork) /.test(call))).toEqual([
      'putSecrets stack-1.db key',
      'ensureNetwork gpuaas-stack-1',
    ]);
    expect(world.secrets.get('stack-1.db')).toEqual({ key: Buffer.from('opened a.b.c.d.e') });
    expect(world.reserved).toEqual([{ cpu_cores: 2, memory_gib: 2 }]);
  });

  it('tells no secret of any of them', async () => {
    const sealed_env = { web: { API_KEY: 'a.b.c.d.e' } };
    const world = await superviseStack(keptStack({}, stackParams({ sealed_env })), {
      logs: async function* () {
        const entry = { cursor: '1', time: '', channel: 'stderr', partial: false } as const;
        yield { ...entry, data: Buffer.from('somebody came with opened a.b.c.d.e') };
      },
    });

    await world.end(db, { exitCode: 1 });

    expect(world.events[0]?.failure?.detail['excerpt']).toBe('somebody came with [redacted]');
  });

  it('counts as running when its own checks pass, and no sooner', async () => {
    const services = stackParams().document.services;
    const healthcheck = {
      ...{ test: ['CMD', 'true'], interval: '1s', timeout: '1s', retries: 1, start_period: '60s' },
    };
    const document = { services: { ...services, db: { ...services['db'], healthcheck } } } as ComposeDocument;
    const world = await superviseStack(keptStack({}, stackParams({ document })));

    await world.end(db, { exitCode: 1, health: 'starting' });
    await world.clock.advance(1000);
    await expect.poll(() => world.calls.filter((call) => call === `inspect ${db}`).length).toBeGreaterThan(4);
    const early = world.row()?.state;
    world.change({ health: 'healthy' }, db);

    await expect.poll(() => world.row()?.state).toBe('running');
    expect(early).toBe('degraded');
  });

  it('gives way to a task of the stack, with all the others', async () => {
    const world = await superviseStack();
    await world.end(db, { exitCode: 1 });

    const resume = await world.supervisor.standAside('stack-1', {
      ...{ project_id: 'project-7', allocation_id: 'alloc-1', fencing: 2 },
    });
    await world.clock.advance(600_000);
    const during = world.calls.filter((call) => call.startsWith('start'));
    resume();
    await world.clock.advance(1000);

    expect(during).toEqual([]);
    expect(world.calls).toContain(`start ${db}`);
  });
});

describe('a stack', () => {
  it('is degraded while the health check of one of its services fails', async () => {
    const world = await superviseStack();

    world.change({ health: 'unhealthy' }, db);
    world.stream.say({ instance: 'stack-1', container: db, action: 'health_status: unhealthy' });
    await world.clock.advance(11_000);
    const during = world.row()?.state;
    world.change({ health: 'healthy' }, db);
    world.stream.say({ instance: 'stack-1', container: db, action: 'health_status: healthy' });
    await world.clock.advance(40_000);

    expect([during, world.row()?.state]).toEqual(['degraded', 'running']);
    expect(world.said()).toEqual(['health.failing degraded', 'health.recovered running']);
    expect(world.events[0]?.event).toMatchObject({ values: { service: 'db' } });
  });

  it('of which a container is gone is failed, with the service named', async () => {
    const world = await superviseStack();

    world.containers.delete(db);
    await world.clock.advance(61_000);

    expect(world.said()).toEqual(['container.gone failed']);
    expect(world.events[0]).toMatchObject({ failure: { code: 'container.not_found', detail: { service: 'db' } } });
  });

  it('of which a foreign container has taken a name loses nothing else (FAULTS 29)', async () => {
    const world = await superviseStack(keptStack(), {
      inspect: async (name) => {
        if (name === db) {
          throw new AgentError('name.conflict', { container: name });
        }
        return serviceFacts('web');
      },
    });

    await world.clock.advance(61_000);

    expect(world.said()).toEqual(['container.gone failed']);
    expect(world.row()).toMatchObject({ stack: { services: [{ state: 'running' }, { state: 'failed' }] } });
    expect(world.calls.filter((call) => /^(start|stop|remove) /.test(call))).toEqual([]);
  });

  it('is unknown, each service of it, while the engine is away (FAULTS 16)', async () => {
    let isAway = false;
    const world = await superviseStack(keptStack(), {
      networks: async () => {
        if (isAway) {
          throw new AgentError('engine.unavailable');
        }
        return [];
      },
    });

    isAway = true;
    world.stream.cut();
    await world.clock.advance(10_000);
    const during = world.facts();
    isAway = false;
    await world.clock.advance(10_000);

    expect(during).toMatchObject({ state: 'unknown', services: [{ state: 'unknown' }, { state: 'unknown' }] });
    expect(world.facts()).toMatchObject({ state: 'running', services: [{ state: 'running' }, { state: 'running' }] });
  });
});

describe('containers of a stack that the journal does not know', () => {
  const sealed = (service: string, more: Record<string, string> = {}, over: Partial<ContainerFacts> = {}) =>
    serviceFacts(service, over, { [labels.fencing]: '5', [labels.restart]: 'on_failure:2', ...more });

  it('are adopted as one workload, and started again as their labels say (FAULTS 19)', async () => {
    const readiness = { [labels.readiness]: '[]' };
    const endpoint = { [labels.endpoints]: 'api:http:8000' };
    const world = await supervise([], [sealed('web', { ...readiness, ...endpoint }), sealed('db', readiness)]);

    await world.end({ exitCode: 1 }, db);
    await world.clock.advance(1000);
    await expect.poll(() => world.rows.get('stack-1')?.state).toBe('running');

    expect(world.said()).toEqual([
      ...['workload.adopted running', 'container.exited degraded', 'workload.restarted', 'workload.running running'],
    ]);
    expect(world.events[0]?.event.message).not.toMatch(/not known:|half/);
    expect(world.supervisor.workloads()).toMatchObject([
      {
        ...{ workload_id: 'stack-1', fencing: 5, endpoints: [{ name: 'api', port: 8000 }] },
        services: [
          { service: 'db', restarts: 1 },
          { service: 'web', restarts: 0 },
        ],
      },
    ]);
  });

  it('of which one is missing are half a stack: degraded, and it is said which', async () => {
    const needs = { 'com.docker.compose.depends_on': 'db:service_healthy:false,cache:service_started:false' };
    const world = await supervise([], [sealed('web', needs), sealed('db')]);

    await world.clock.advance(61_000);

    expect(world.said()).toEqual(['workload.adopted degraded']);
    expect(world.events[0]?.event.message).toContain('half a stack: of cache there is no container');
    expect(world.supervisor.workloads()).toMatchObject([{ state: 'degraded' }]);
  });

  it('are whole where one has done the work that the other waited for', async () => {
    const needs = { 'com.docker.compose.depends_on': 'init:service_completed_successfully:false' };
    const done = { status: 'exited', exitCode: 0, finishedAt: '2026-11-25T11:00:00Z' };
    const world = await supervise([], [sealed('web', needs), sealed('init', {}, done)]);

    await world.clock.advance(61_000);

    expect(world.said()).toEqual(['workload.adopted running']);
  });

  it('of which one has ended while the others run is started again as its label says', async () => {
    const ended = { status: 'exited', exitCode: 1, finishedAt: '2026-11-25T11:00:00Z' };
    const world = await supervise([], [sealed('web'), sealed('db', {}, ended)]);

    await world.clock.advance(1000);
    await expect.poll(() => world.rows.get('stack-1')?.state).toBe('running');

    expect(world.said()).toEqual([
      ...['workload.adopted running', 'container.exited degraded', 'workload.restarted', 'workload.running running'],
    ]);
  });

  it('are left as they are where none of them runs', async () => {
    const ended = { status: 'exited', exitCode: 1, finishedAt: '2026-11-25T11:00:00Z' };
    const world = await supervise([], [sealed('web', {}, ended), sealed('db', {}, ended)]);

    await world.clock.advance(61_000);

    expect(world.said()).toEqual(['workload.adopted stopped']);
    expect(world.calls.filter((call) => call.startsWith('start'))).toEqual([]);
  });

  it('are taken away whole, their network and document as well, where a task had removed them (FAULTS 29)', async () => {
    const world = await supervise([], []);
    world.tasks.push(endedTask({ workload_id: 'stack-1', fencing: 5 }));
    for (const container of [sealed('web'), sealed('db')]) {
      world.containers.set(container.name, container);
    }
    world.networks.add('gpuaas-stack-1');

    await world.clock.advance(61_000);

    expect([[...world.containers.keys()], [...world.networks]]).toEqual([[], []]);
    expect(world.stacks.calls).toEqual(['forget stack-1']);
    expect(world.said()).toEqual(['orphan.removed']);
  });
});
