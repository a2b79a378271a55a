import { afterEach, describe, expect, it } from 'vitest';
import { bounds } from '../../../../src/contract/bounds.ts';
import { AgentError, type FailureCode } from '../../../../src/contract/failures.ts';
import { jobKind, labels } from '../../../../src/contract/names.ts';
import { EventBody } from '../../../../src/contract/records.ts';
import { judge } from '../../../../src/contract/validate.ts';
import { keptJob, plan } from '../../../support/job-plans.ts';
import { endedTask, keptWorkload } from '../../../support/kept-workloads.ts';
import { containerFacts } from '../../../support/recording-engine.ts';
import { stops, supervise } from '../../../support/supervised.ts';
import { launchParams } from '../../../support/task-bench.ts';

const name = 'gpuaas-notebook-1';
const id = 'notebook-1';
const occupation = { project_id: 'project-7', allocation_id: 'alloc-1', fencing: 2 };

afterEach(async () => {
  await Promise.all(stops.splice(0).map((stop) => stop()));
});

const withPolicy = (policy: 'no' | 'on_failure' | 'always', max_retries = 3) =>
  keptWorkload({ params: launchParams({ restart: { policy, max_retries } }) });

describe('an end', () => {
  it("is told with the engine's own time, exit code and the end of the log", async () => {
    const world = await supervise([withPolicy('no')], [containerFacts()], {
      logs: async function* () {
        const entry = { cursor: '1', time: '', channel: 'stderr', partial: false } as const;
        yield { ...entry, data: Buffer.from('Traceback: no such kernel') };
      },
    });

    await world.end({ exitCode: 3 });

    expect(world.events).toMatchObject([
      {
        ...{ workload_id: id, source: 'supervisor', state: 'failed' },
        event: { type: 'container.exited', time: '2026-11-25T12:00:00.000000001Z', values: { exit_code: 3 } },
        failure: { code: 'container.exited', detail: { exit_code: 3, excerpt: 'Traceback: no such kernel' } },
      },
    ]);
    expect(world.row()).toMatchObject({ state: 'failed', since: '2026-11-25T12:00:00.000000001Z' });
  });

  it('is told once, however often the engine is looked at', async () => {
    const world = await supervise([withPolicy('no')], [containerFacts()]);

    await world.end({ exitCode: 1 });
    world.stream.say({ action: 'die' });
    await world.clock.advance(600_000);

    expect(world.said()).toEqual(['container.exited failed']);
  });

  it('for memory is container.oom_killed, and SIGKILL by somebody is not (FAULTS 26)', async () => {
    const oom = await supervise([withPolicy('no')], [containerFacts()]);
    const killed = await supervise([withPolicy('no')], [containerFacts()]);

    await oom.end({ exitCode: 137, oomKilled: true });
    await killed.end({ exitCode: 137 });

    expect(oom.events[0]?.failure).toMatchObject({ code: 'container.oom_killed' });
    expect(killed.events[0]?.failure).toMatchObject({ code: 'container.exited' });
    expect(killed.events[0]?.failure?.message).toContain('Signal 9');
  });

  it('for memory is also known from the event alone, where the engine forgets it', async () => {
    const world = await supervise([withPolicy('no')], [containerFacts()]);

    world.change({ status: 'exited', exitCode: 137, finishedAt: '2026-11-25T12:00:00.000000001Z' });
    world.stream.say({ action: 'oom' });
    world.stream.say({ action: 'die', exitCode: 137 });
    await world.clock.advance(0);

    expect(world.said()).toEqual(['container.oom_killed failed']);
  });

  it('that a task had asked for is no failure', async () => {
    const world = await supervise([keptWorkload({ desired: 'stopped' })], [containerFacts()]);

    await world.end({ exitCode: 137 });

    expect(world.said()).toEqual(['workload.stopped stopped']);
    expect(world.events[0]?.failure).toBeNull();
  });

  it('with 0 is stopped, without a failure unless it was to run always', async () => {
    const done = await supervise([withPolicy('on_failure')], [containerFacts()]);
    const exhausted = await supervise([withPolicy('always', 0)], [containerFacts()]);

    await done.end({ exitCode: 0 });
    await exhausted.end({ exitCode: 0 });

    expect([done.said(), done.events[0]?.failure]).toEqual([['container.exited stopped'], null]);
    expect(exhausted.events[0]).toMatchObject({ state: 'stopped', failure: { code: 'container.exited' } });
  });

  it('of a process inside, killed for memory, does not end the workload', async () => {
    const world = await supervise([withPolicy('no')], [containerFacts()]);

    world.stream.say({ action: 'oom', time: '2026-11-25T12:00:01.000000000Z' });
    await world.clock.advance(2000);

    expect(world.said()).toEqual(['container.oom']);
    expect(world.row()?.state).toBe('running');
  });
});

describe('what is told of an end, of a start that fails, and of a workload that does not get ready', () => {
  const opened = 'opened sealed-token';
  const params = launchParams({
    ...{ restart: { policy: 'on_failure' as const, max_retries: 1 }, sealed_env: { TOKEN: 'sealed-token' } },
  });
  const logs = async function* () {
    yield {
      ...{ cursor: 'c', time: 't', channel: 'stdout' as const, partial: false },
      data: Buffer.from(`I am told ${opened}.`),
    };
  };
  const failures = (world: Awaited<ReturnType<typeof supervise>>) =>
    JSON.stringify(world.events.map(({ failure }) => failure));

  it('has no secret of the launch in it', async () => {
    const world = await supervise([keptWorkload({ params })], [containerFacts()], {
      logs,
      start: () => Promise.reject(new AgentError('engine.failed', { reason: `${'x'.repeat(8180)}${opened}` })),
    });

    await world.end({ exitCode: 1, error: `the engine says ${opened}` });
    await world.clock.advance(1000);

    expect(world.said()).toContain('restart.failed failed');
    expect(failures(world)).toContain('I am told [redacted].');
    expect(failures(world)).toContain('the engine says [redacted]');
    expect(failures(world)).not.toMatch(/opened|sealed-token/);
  });

  it('has none in it where it was started again and is not ready', async () => {
    const exec = async () => ({ exitCode: 1, tail: '', adopted: false });
    const readiness = [{ type: 'exec' as const, command: ['true'], timeout_seconds: 0 }];
    const row = keptWorkload({ params: { ...params, readiness } });
    const world = await supervise([row], [containerFacts()], { logs, exec });

    await world.end({ exitCode: 1 });
    await world.clock.advance(1000);
    await expect.poll(() => world.said()).toContain('readiness.timed_out');

    expect(world.events.at(-1)?.failure?.detail['excerpt']).toBe('I am told [redacted].');
    expect(failures(world)).not.toContain(opened);
  });

  it('has nothing of the log in it where the secrets are not known any more', async () => {
    const world = await supervise([keptWorkload({ params: null })], [containerFacts()], { logs });

    await world.end({ exitCode: 1 });

    expect(world.events[0]).toMatchObject({ failure: { code: 'container.exited', detail: { excerpt: '' } } });
  });
});

describe('a restart', () => {
  it('comes after the backoff, is counted, and ends in running once it is ready again', async () => {
    const world = await supervise([withPolicy('on_failure')], [containerFacts()]);

    await world.end({ exitCode: 1 });
    expect(world.calls).not.toContain(`start ${name}`);
    await world.clock.advance(1000);

    expect(world.calls.filter((call) => call === `start ${name}`)).toHaveLength(1);
    expect(world.said()).toEqual(['container.exited degraded', 'workload.restarted', 'workload.running running']);
    expect(world.row()).toMatchObject({ state: 'running', restarts: 1, streak: 1 });
  });

  it('is one, however many events tell of the end', async () => {
    const world = await supervise([withPolicy('on_failure')], [containerFacts()]);

    world.change({ status: 'exited', exitCode: 137, finishedAt: '2026-11-25T12:00:00.000000001Z' });
    world.stream.say({ action: 'kill' });
    await Promise.resolve();
    world.stream.say({ action: 'die', exitCode: 137 });
    await world.clock.advance(0);
    await Promise.all([world.supervisor.lookAtAll(AbortSignal.timeout(25_000)), world.clock.advance(5000)]);

    expect(world.calls.filter((call) => call === `start ${name}`)).toHaveLength(1);
    expect(world.said().filter((type) => type === 'workload.restarted')).toHaveLength(1);
  });

  it('checks readiness before the workload counts as running', async () => {
    let isReady = false;
    const world = await supervise([withPolicy('on_failure')], [containerFacts()], {
      exec: async () => ({ exitCode: isReady ? 0 : 1, tail: '', adopted: false }),
    });

    await world.end({ exitCode: 1 });
    await world.clock.advance(1000);
    await expect.poll(() => world.execs.length).toBeGreaterThan(1);
    expect(world.row()?.state).toBe('degraded');
    isReady = true;

    await expect.poll(() => world.row()?.state).toBe('running');
  });

  it('is told with no more of the words of the engine than an event may have', async () => {
    const world = await supervise([withPolicy('always', 1)], [containerFacts()], {
      start: async () => {
        throw new AgentError('engine.failed', { reason: 'x'.repeat(2 ** 20), said: 'y'.repeat(2 ** 20) });
      },
    });

    await world.end({ exitCode: 1 });
    await world.clock.advance(3_600_000);

    const told = world.events.find(({ event }) => event.type === 'restart.failed');
    expect(told?.event.message).toMatch(/^The workload could not be started again: .* \[cut\]$/);
    expect(told?.event.message.length).toBeLessThanOrEqual(bounds.message);
    expect(judge(EventBody, told).ok).toBe(true);
    expect(JSON.stringify(told).length).toBeLessThan(30_000);
  });

  it('is given up after max_retries in a row, with a failure', async () => {
    const world = await supervise([withPolicy('always', 2)], [containerFacts()], {
      start: async () => {
        throw new AgentError('port.conflict', { port: 8888 });
      },
    });

    await world.end({ exitCode: 1 });
    await world.clock.advance(3_600_000);

    expect(world.said()).toEqual(['container.exited degraded', 'restart.failed', 'restart.failed failed']);
    expect(world.events.at(-1)?.failure).toMatchObject({ code: 'port.conflict' });
    expect(world.row()).toMatchObject({ state: 'failed', restarts: 0, streak: 2 });
  });

  it('begins a new row after a workload that ran for long', async () => {
    const row = { ...withPolicy('on_failure', 1), streak: 1 };
    const world = await supervise([row], [containerFacts()]);

    await world.end({ exitCode: 1, startedAt: '2026-11-25T11:00:00Z' });
    await world.clock.advance(1000);

    expect(world.row()).toMatchObject({ state: 'running', streak: 1 });
  });

  it('delivers secret files again, as memory is empty after a boot', async () => {
    const params = launchParams({
      restart: { policy: 'always', max_retries: 1 },
      sealed_files: { '/run/secrets/token': 'sealed-token' },
    });
    const world = await supervise([keptWorkload({ params })], [containerFacts()]);

    await world.end({ exitCode: 0 });
    await world.clock.advance(1000);

    expect(world.calls).toContain(`putSecrets ${id} token`);
    expect(world.calls.indexOf(`putSecrets ${id} token`)).toBeLessThan(world.calls.indexOf(`start ${name}`));
  });

  it('is not told twice by an agent that was killed before it', async () => {
    const since = '2026-11-25T12:00:00.000000001Z';
    const ended = containerFacts({ status: 'exited', exitCode: 1, finishedAt: since });
    const world = await supervise([{ ...withPolicy('on_failure'), state: 'degraded', since }], [ended]);

    await world.clock.advance(1000);

    expect(world.said()).toEqual(['workload.restarted', 'workload.running running']);
  });

  it('gives way to a task, at once and without having started anything', async () => {
    const world = await supervise([withPolicy('always')], [containerFacts()]);
    await world.end({ exitCode: 1 });

    const resume = await world.supervisor.standAside(id, occupation);
    await world.clock.advance(3_600_000);

    expect(world.calls).not.toContain(`start ${name}`);
    world.rows.set(id, keptWorkload({ desired: 'stopped', state: 'stopped' }));
    resume();
    await world.clock.advance(3_600_000);
    expect(world.calls).not.toContain(`start ${name}`);
    expect(world.said()).toEqual(['container.exited degraded']);
  });
});

describe('health (FAULTS 28)', () => {
  it('that fails for a while is degraded, and running again when it has passed for a while', async () => {
    const world = await supervise([keptWorkload()], [containerFacts({ health: 'healthy' })]);

    world.change({ health: 'unhealthy' });
    world.stream.say({ action: 'health_status: unhealthy' });
    await world.clock.advance(9_000);
    expect(world.said()).toEqual([]);
    await world.clock.advance(1_000);
    world.change({ health: 'healthy' });
    world.stream.say({ action: 'health_status: healthy' });
    await world.clock.advance(30_000);

    expect(world.said()).toEqual(['health.failing degraded', 'health.recovered running']);
  });

  it('that flaps a thousand times gives no storm of events', async () => {
    const world = await supervise([keptWorkload()], [containerFacts({ health: 'healthy' })]);

    for (let flap = 0; flap < 1000; flap += 1) {
      world.change({ health: flap % 2 === 0 ? 'unhealthy' : 'healthy' });
      world.stream.say({ action: 'health_status' });
      await world.clock.advance(4_000);
    }

    expect(world.events.length).toBeLessThanOrEqual(2);
  });
});

describe('an engine that is away (FAULTS 16, 17)', () => {
  it.each<FailureCode>(['engine.unavailable', 'engine.unsupported'])(
    'makes workloads unknown and not failed, and tells what they are when it is back (%s)',
    async (code) => {
      let away = false;
      const world = await supervise([keptWorkload()], [containerFacts()], {
        list: async () => {
          if (away) {
            throw new AgentError(code);
          }
          return [];
        },
      });

      away = true;
      world.stream.cut();
      await world.clock.advance(10_000);
      const [during] = world.supervisor.workloads();
      away = false;
      await world.clock.advance(10_000);
      const [after] = world.supervisor.workloads();

      expect([during?.state, after?.state]).toEqual(['unknown', 'running']);
      expect(world.said()).toEqual(['engine.away', 'workload.unknown unknown', 'engine.back', 'workload.seen running']);
      expect(world.engineStates).toEqual(['away', 'ready']);
      expect(world.row()?.state).toBe('running');
    },
  );

  it('is not told where it was back at once', async () => {
    const world = await supervise([keptWorkload()], [containerFacts()]);

    world.stream.cut();
    await world.clock.advance(2_000);

    expect(world.said()).toEqual([]);
    expect(world.calls.filter((call) => call === 'list').length).toBeGreaterThan(1);
  });

  it('that says nothing at all is noticed by the slow look', async () => {
    let hangs = false;
    const world = await supervise([keptWorkload()], [containerFacts()], {
      list: async () => {
        if (hangs) {
          throw new AgentError('engine.timed_out');
        }
        return [];
      },
    });

    hangs = true;
    await world.clock.advance(61_000);

    expect(world.supervisor.engineAway).toBe(true);
    expect(world.said()).toContain('workload.unknown unknown');
  });

  it('is looked at as a whole when it is back: an end in between is told', async () => {
    const world = await supervise([withPolicy('no')], [containerFacts()]);

    world.change({ status: 'exited', exitCode: 1, finishedAt: '2026-11-25T12:00:00.000000001Z' });
    world.stream.cut();
    await world.clock.advance(2_000);

    expect(world.said()).toEqual(['container.exited failed']);
  });
});

describe('containers that the journal does not know', () => {
  const stranger = (fencing: number) =>
    containerFacts({ labels: { ...containerFacts().labels, [labels.fencing]: String(fencing) } });

  it('are adopted, with what their labels say (FAULTS 19)', async () => {
    const world = await supervise([], [stranger(5)]);

    expect(world.said()).toEqual(['workload.adopted running']);
    expect(world.fencings.get(id)).toBe(5);
    expect(world.row()).toMatchObject({ project_id: 'project-7', desired: 'running', params: null });
  });

  it.each([
    ['no word of restarts', {}],
    ['a word that is none', { [labels.restart]: 'sometimes:lots' }],
    ['the word that it is not', { [labels.restart]: 'no:0' }],
  ])('are never started again with %s', async (_what, more) => {
    const found = stranger(5);
    const world = await supervise([], [{ ...found, labels: { ...found.labels, ...more } }]);

    await world.end({ exitCode: 1 });
    await world.clock.advance(3_600_000);

    expect(world.said()).toEqual(['workload.adopted running', 'container.exited failed']);
    expect(world.calls).not.toContain(`start ${name}`);
  });

  it('are started again as their label says, within what their container was promised (FAULTS 19)', async () => {
    const found = stranger(5);
    const world = await supervise([], [{ ...found, labels: { ...found.labels, [labels.restart]: 'on_failure:1' } }]);

    await world.end({ exitCode: 1 });
    await world.clock.advance(1000);
    await expect.poll(() => world.row()?.state).toBe('running');
    await world.end({ exitCode: 1, startedAt: '2026-11-25T12:00:30Z', finishedAt: '2026-11-25T12:01:00Z' });
    await world.clock.advance(3_600_000);

    expect(world.said()).toEqual([
      ...['workload.adopted running', 'container.exited degraded', 'workload.restarted', 'workload.running running'],
      'container.exited failed',
    ]);
    expect(world.reserved).toEqual([{ cpu_cores: 1, memory_gib: 1 }]);
  });

  it('are asked for their readiness after a restart, as their label says (FAULTS 19)', async () => {
    const checks = [{ type: 'exec', command: ['is-it-up'], timeout_seconds: 60 }];
    const more = { [labels.restart]: 'on_failure:1', [labels.readiness]: JSON.stringify(checks) };
    const asked: unknown[] = [];
    const found = stranger(5);
    const world = await supervise([], [{ ...found, labels: { ...found.labels, ...more } }], {
      exec: async (_name, argv) => {
        asked.push(argv);
        return { exitCode: asked.length < 3 ? 1 : 0, tail: '', adopted: false };
      },
    });

    await world.end({ exitCode: 1 });
    await world.clock.advance(1000);
    await expect.poll(() => world.row()?.state).toBe('running');

    expect(asked).toEqual([['is-it-up'], ['is-it-up'], ['is-it-up']]);
    expect(world.events[0]?.event.message).not.toContain('not known:');
  });

  it.each([
    [
      'where they do not run, that they are left so',
      { status: 'exited', exitCode: 0 },
      'It does not run, and whether it should',
    ],
    ['where they run, that nobody knows when they are ready', {}, 'Its readiness checks are not known'],
  ] as const)('tell with their adoption, %s (FAULTS 19)', async (_what, over, words) => {
    const world = await supervise([], [{ ...stranger(5), ...over }]);

    expect(world.events[0]).toMatchObject({ workload_id: id, event: { type: 'workload.adopted' } });
    expect(world.events[0]?.event.message).toContain(words);
  });

  it('are taken away where a task had removed them (FAULTS 29)', async () => {
    const world = await supervise([], []);
    world.tasks.push(endedTask({ fencing: 5 }));
    world.containers.set(name, stranger(4));

    await world.clock.advance(61_000);

    expect(world.containers.has(name)).toBe(false);
    expect(world.said()).toEqual(['orphan.removed']);
  });

  it.each([
    ['nobody knows', undefined, false],
    ['has ended', keptJob('failed', 'failed', { job_id: id }), false],
    ['is to be kept', keptJob('failed', 'failed', { job_id: id, plan: plan({ keep: true }) }), true],
    ['is at work', keptJob('running', 'running', { job_id: id }), true],
  ])('of a job that %s are taken away only where nobody wants them', async (_what, job, stays) => {
    const world = await supervise([], []);
    if (job) world.journal.jobs.begin(job);
    const own = stranger(4);
    world.containers.set(name, { ...own, labels: { ...own.labels, [labels.kind]: jobKind } });

    await world.clock.advance(61_000);

    expect(world.containers.has(name)).toBe(stays);
    expect(world.said()).toEqual(stays ? [] : ['orphan.removed']);
  });

  it.each([
    ['has ended', keptJob('failed', 'failed', { job_id: id }), []],
    ['is to be kept', keptJob('failed', 'failed', { job_id: id, plan: plan({ keep: true }) }), [name]],
    ['is at work', keptJob('running', 'running', { job_id: id }), [name]],
  ])('and a network alone is taken away of a job that %s, or left', async (_what, job, left) => {
    const world = await supervise([], []);
    world.journal.jobs.begin(job);
    world.networks.add(name);

    await world.clock.advance(61_000);

    expect([...world.networks]).toEqual(left);
  });

  it('of services that jobs share are left, and so is their network', async () => {
    const world = await supervise([], []);
    const [group, other] = ['ab', 'cd'].map((each) => `svc-${each.repeat(12)}`);
    const shared = { ...stranger(4).labels, [labels.kind]: jobKind, [labels.instance]: group ?? '' };
    world.containers.set(`gpuaas-${group}.db`, containerFacts({ name: `gpuaas-${group}.db`, labels: shared }));
    world.networks.add(`gpuaas-${other}`);

    await world.clock.advance(61_000);

    expect([...world.containers.keys(), ...world.networks]).toEqual([`gpuaas-${group}.db`, `gpuaas-${other}`]);
    expect(world.said()).toEqual([]);
  });

  it.each([
    ['the removal is older than they are', endedTask({ fencing: 3 })],
    ['a newer task failed on them', endedTask({ type: 'workload.oci_control', fencing: 9 }, { status: 'failed' })],
    ['a removal was refused', endedTask({ fencing: 9 }, { status: 'rejected' })],
    ['a removal is not over', { ...endedTask({ fencing: 9 }), result: null }],
  ])('are adopted and not taken away where %s', async (_what, task) => {
    const world = await supervise([], []);
    world.tasks.push(task);
    world.containers.set(name, stranger(4));

    await world.clock.advance(61_000);

    expect(world.containers.has(name)).toBe(true);
    expect(world.said()).toEqual(['workload.adopted running']);
  });

  it('are left alone while a task is at work on them', async () => {
    const world = await supervise([], []);
    world.tasks.push(endedTask({ fencing: 5 }));
    const resume = await world.supervisor.standAside(id, occupation);
    world.containers.set(name, stranger(5));

    await world.clock.advance(120_000);

    expect(world.containers.has(name)).toBe(true);
    world.rows.set(id, keptWorkload());
    resume();
    await world.clock.advance(61_000);
    expect(world.containers.has(name)).toBe(true);
  });

  it('and of which only the network is there: it is taken away, unless a row, a container or a task has it', async () => {
    const world = await supervise([keptWorkload()], []);
    const other = (instance: string) => `gpuaas-${instance}`;
    const labelled = { ...containerFacts().labels, [labels.instance]: 'adopted' };
    world.containers.set(other('adopted'), containerFacts({ name: other('adopted'), labels: labelled }));
    await world.supervisor.standAside('launching', occupation);
    for (const instance of [id, 'adopted', 'launching', 'orphan']) {
      world.networks.add(other(instance));
    }

    await world.clock.advance(61_000);

    expect([...world.networks]).toEqual([id, 'adopted', 'launching'].map(other));
    expect(world.events.filter(({ event }) => event.type === 'orphan.removed')).toMatchObject([
      { workload_id: 'orphan', event: { values: { removed: ['network gpuaas-orphan'] } } },
    ]);
  });

  it('and whose network cannot be taken away do not keep the others from being looked at', async () => {
    const world = await supervise([keptWorkload()], [containerFacts()], {
      removeNetwork: () => Promise.reject(new AgentError('engine.failed')),
    });
    world.networks.add('gpuaas-orphan');

    world.change({ status: 'exited', exitCode: 0, finishedAt: '2026-11-25T12:00:00Z' });
    await world.clock.advance(61_000);

    expect(world.row()?.state).not.toBe('running');
    expect(world.log.join('')).toContain('orphan could not be taken away');
  });

  it('are gone before a task of theirs begins: it would lose what it makes', async () => {
    const removal = Promise.withResolvers<boolean>();
    const world = await supervise([], [], { removeNetwork: () => removal.promise });
    world.networks.add(name);
    await world.clock.advance(61_000);
    expect(world.calls).toContain(`removeNetwork ${name}`);
    let begun = false;

    const aside = world.supervisor.standAside(id, occupation).then(() => {
      begun = true;
    });
    await world.clock.advance(0);
    const begunEarly = begun;
    removal.resolve(true);
    await aside;

    expect([begunEarly, begun]).toEqual([false, true]);
  });

  it('and that have our name without a seal are not touched; ours counts as gone (FAULTS 29)', async () => {
    const world = await supervise([keptWorkload()], [], {
      inspect: async () => {
        throw new AgentError('name.conflict', { container: name });
      },
    });

    await world.clock.advance(61_000);

    expect(world.said()).toEqual(['container.gone failed']);
    expect(world.calls.filter((call) => /^(start|stop|remove|removeNetwork|removeData) /.test(call))).toEqual([]);
  });
});

describe('what others are told of the workloads', () => {
  it('has the phase of a task that is at work, also before there is a row', async () => {
    const world = await supervise([], []);

    const resume = await world.supervisor.standAside(id, occupation);
    world.supervisor.notePhase(id, 'pulling');
    const during = world.supervisor.workloads();
    resume();

    expect(during).toMatchObject([{ workload_id: id, state: 'pulling', fencing: 2, project_id: 'project-7' }]);
    expect(world.supervisor.workloads()).toEqual([]);
  });

  it('keeps the phase of the task at work when one that waits behind it is given up', async () => {
    const world = await supervise([], []);
    await world.supervisor.standAside(id, occupation);
    const giveUp = await world.supervisor.standAside(id, { ...occupation, fencing: 3 });
    world.supervisor.notePhase(id, 'probing');

    giveUp();

    expect(world.supervisor.workloads()).toMatchObject([{ workload_id: id, state: 'probing', fencing: 2 }]);
  });

  it('waits for all tasks of a workload before it looks again', async () => {
    const world = await supervise([keptWorkload()], [containerFacts()]);
    const first = await world.supervisor.standAside(id, occupation);
    const second = await world.supervisor.standAside(id, occupation);
    const looks = world.calls.filter((call) => call === `inspect ${name}`).length;

    first();
    await world.clock.advance(61_000);
    expect(world.calls.filter((call) => call === `inspect ${name}`)).toHaveLength(looks);
    second();
    await world.clock.advance(0);

    expect(world.calls.filter((call) => call === `inspect ${name}`).length).toBeGreaterThan(looks);
  });
});

it('touches no workload when it stops, and is at rest afterwards', async () => {
  const world = await supervise([withPolicy('always')], [containerFacts()]);
  await world.end({ exitCode: 1 });

  await stops.pop()?.();
  await world.clock.advance(3_600_000);

  expect(world.calls.filter((call) => /^(start|stop|remove) /.test(call))).toEqual([]);
});
