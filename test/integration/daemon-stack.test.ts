/**
 * What the daemon does for the services of a stack between tasks, on a real engine: restarts of one service, kills of the
 * agent, a lost journal, memory, health, a foreign container, logs and metrics.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { containerName, labels } from '../../src/contract/names.ts';
import type { WorkloadComposeLaunchParams } from '../../src/contract/workload-compose-launch.ts';
import { type DaemonGround, openConnectedGround, outputOf, until } from '../support/daemon-ground.ts';
import { engineCall } from '../support/engine-call.ts';
import { inspectRaw } from '../support/looking.ts';
import type { RunningTask } from '../support/run-task-process.ts';
import { type Services, stackLaunchParams } from '../support/stack-launch.ts';
import { endsForItsMemory, onUsr1 } from '../support/test-host.ts';

let ground: DaemonGround;
let tiny: string;
let daemon: RunningTask;

beforeAll(async () => {
  const telemetry = { port: 0, interval_seconds: 1 };
  ({ ground, daemon, tiny } = await openConnectedGround({}, { telemetry }));
});
afterEach(async () => await ground.host.clear());
afterAll(async () => await ground?.close());

/** Launches a stack of `web`, which waits for `db`; both sleep unless told otherwise. */
async function launch(...over: [services?: Services, over?: Partial<WorkloadComposeLaunchParams>]) {
  const params = stackLaunchParams(ground.host, tiny, ...over);
  outputOf(await ground.run('workload.compose_launch', params));
  const id = params.identity.app_instance_id;
  return { id, params, web: containerName(id, 'web'), db: containerName(id, 'db') };
}

const eventsOf = (id: string) => ground.events(id);
const typesOf = (id: string) => eventsOf(id).map(({ event }) => event.type);
const told = (id: string, type: string) => until(() => typesOf(id).includes(type), `${type} to be told`);

/** What the control plane knows of the workload now. */
function factsOf(id: string) {
  const reports = ground.sink.records.flatMap((record) => (record.kind === 'topology' ? [record.body] : []));
  return reports.at(-1)?.workloads.find(({ workload_id }) => workload_id === id);
}

async function restartDaemon(meanwhile: () => void | Promise<void> = () => undefined): Promise<void> {
  daemon.child.kill('SIGKILL');
  await daemon.ended;
  await meanwhile();
  daemon = ground.start();
}

describe('a service of a stack', () => {
  it('that ends is started again alone; the stack is degraded and then runs', async () => {
    const { id, web, db } = await launch();
    const before = [await inspectRaw(ground.host, web), await inspectRaw(ground.host, db)];

    await ground.host.signal(db, 'KILL');
    await told(id, 'workload.running');
    await until(() => factsOf(id)?.state === 'running', 'the stack to run');

    const after = [await inspectRaw(ground.host, web), await inspectRaw(ground.host, db)];
    expect(after.map(({ Id }) => Id)).toEqual(before.map(({ Id }) => Id));
    expect(after[0]?.State.Pid).toBe(before[0]?.State.Pid);
    expect(after[1]?.State.Pid).not.toBe(before[1]?.State.Pid);
    expect(eventsOf(id).map(({ event, state }) => [event.type, state, event.values['service']])).toEqual([
      ['container.exited', 'degraded', 'db'],
      ['workload.restarted', null, 'db'],
      ['workload.running', 'running', 'db'],
    ]);
    expect(factsOf(id)?.services).toMatchObject([
      { service: 'web', state: 'running', restarts: 0 },
      { service: 'db', state: 'running', restarts: 1 },
    ]);
  });

  it('that ended while nobody looked is found, told with the time of the engine, and started again', async () => {
    const { id, db } = await launch();

    let endedAt = '';
    await restartDaemon(async () => {
      await ground.host.signal(db, 'KILL');
      await until(async () => {
        const { State } = await inspectRaw(ground.host, db);
        endedAt = State.FinishedAt;
        return State.Status === 'exited';
      }, 'the service to end');
    });
    await told(id, 'workload.running');

    const ends = eventsOf(id).filter(({ event }) => event.type === 'container.exited');
    expect(ends.map(({ event }) => event.time)).toEqual([endedAt]);
  });

  it('that is down when the agent is killed is told of once, and comes back (FAULTS 14)', async () => {
    const { id, db } = await launch();
    await ground.host.signal(db, 'KILL');
    await told(id, 'container.exited');

    await restartDaemon();
    await told(id, 'workload.running');

    expect(typesOf(id).filter((type) => type === 'container.exited')).toHaveLength(1);
    expect((await inspectRaw(ground.host, db)).State.Status).toBe('running');
  });

  it('that is given up makes the stack failed, and it is said which (FAULTS 26)', async () => {
    const { command } = onUsr1(endsForItsMemory);
    const { id, web, db } = await launch(
      { db: { command: [...(command ?? [])] } },
      { restart: { policy: 'no', max_retries: 0 } },
    );
    await until(
      async () =>
        (
          await ground.host.engine.exec(db, ['/bin/test', '-f', '/tmp/listens'], {
            signal: AbortSignal.timeout(60_000),
          })
        ).exitCode === 0,
      'the service to listen',
    );

    await ground.host.signal(db, 'USR1');
    await told(id, 'container.oom_killed');

    expect(eventsOf(id).find(({ failure }) => failure !== null)).toMatchObject({
      ...{ state: 'failed', failure: { code: 'container.oom_killed', detail: { service: 'db' } } },
    });
    expect((await inspectRaw(ground.host, web)).State.Status).toBe('running');
  });

  it('whose health check fails makes the stack degraded', async () => {
    const healthcheck = {
      ...{ test: ['CMD', '/bin/test', '!', '-f', '/tmp/sick'] },
      ...{ interval: '1s', timeout: '5s', retries: 1, start_period: '1s' },
    };
    const { id, db } = await launch({ db: { healthcheck } });

    await ground.host.engine.exec(db, ['/bin/touch', '/tmp/sick'], { signal: AbortSignal.timeout(60_000) });
    await told(id, 'health.failing');

    expect(eventsOf(id).at(-1)).toMatchObject({ state: 'degraded', event: { values: { service: 'db' } } });
  });

  it('whose container is replaced by a foreign one is failed, and the foreign one is left alone (FAULTS 29)', async () => {
    const { id, db } = await launch();
    const { Image } = await inspectRaw(ground.host, db);
    const of = { [labels.instance]: id, [labels.service]: 'db', [labels.allocation]: ground.host.policy.allocation.id };
    await engineCall(ground.host.engineSocket, 'DELETE', `/containers/${db}?force=1`);
    const foreign = { Image, Entrypoint: ['/bin/sh', '-c'], Cmd: ['sleep 1000'], Labels: of };
    await engineCall(ground.host.engineSocket, 'POST', `/containers/create?name=${db}`, foreign);
    await engineCall(ground.host.engineSocket, 'POST', `/containers/${db}/start`);

    await told(id, 'container.gone');

    const gone = eventsOf(id).find(({ event }) => event.type === 'container.gone');
    expect(gone).toMatchObject({ state: 'failed', failure: { detail: { service: 'db' } } });
    expect((await inspectRaw(ground.host, db)).State.Status).toBe('running');
  });
});

describe('a stack whose journal is lost', () => {
  it('is adopted as one workload, runs on, and is restarted service by service as before (FAULTS 19)', async () => {
    const { id, web, db } = await launch();
    const before = [await inspectRaw(ground.host, web), await inspectRaw(ground.host, db)];

    await restartDaemon(() => {
      for (const suffix of ['-wal', '-shm']) {
        rmSync(join(ground.stateDir, `agent.db${suffix}`), { force: true });
      }
      writeFileSync(join(ground.stateDir, 'agent.db'), 'this is no database');
    });
    await told(id, 'workload.adopted');
    const after = [await inspectRaw(ground.host, web), await inspectRaw(ground.host, db)];
    await ground.host.signal(db, 'KILL');
    await told(id, 'workload.running');

    expect(after.map(({ State }) => State.Pid)).toEqual(before.map(({ State }) => State.Pid));
    expect(typesOf(id)).toEqual(['workload.adopted', 'container.exited', 'workload.restarted', 'workload.running']);
    expect(eventsOf(id)[0]).toMatchObject({ state: 'running' });
    expect((await inspectRaw(ground.host, db)).State.Status).toBe('running');
  });

  it('and of which a service that others need is missing is degraded, and it is said which', async () => {
    const { id, db } = await launch();

    await restartDaemon(async () => {
      await engineCall(ground.host.engineSocket, 'DELETE', `/containers/${db}?force=1`);
      for (const suffix of ['-wal', '-shm']) {
        rmSync(join(ground.stateDir, `agent.db${suffix}`), { force: true });
      }
      writeFileSync(join(ground.stateDir, 'agent.db'), 'this is no database');
    });
    await told(id, 'workload.adopted');

    expect(eventsOf(id)[0]).toMatchObject({ state: 'degraded' });
    expect(eventsOf(id)[0]?.event.message).toContain('of db there is no container');
  });
});

describe('what is seen of a stack', () => {
  it('has the logs of its services as one, and one alone, over the restart of a service', async () => {
    const says = (word: string) => [`trap "exit 0" TERM; while :; do echo ${word}; sleep 0.2; done`];
    const { id, db } = await launch({ web: { command: says('page') }, db: { command: says('store') } });
    const reader = new AbortController();
    const seen: (string | undefined)[] = [];
    const alone: (string | undefined)[] = [];
    const read = async (into: typeof seen, service?: string) => {
      for await (const part of ground.followLog(id, reader.signal, service)) {
        const entries = part.kind === 'entries' ? part.entries : [];
        into.push(...entries.map((entry) => `${entry.service}: ${entry.text}`));
      }
    };
    const reading = [read(seen), read(alone, 'web')];
    await until(() => seen.includes('web: page') && seen.includes('db: store'), 'both services');

    await ground.host.signal(db, 'KILL');
    await told(id, 'workload.running');
    seen.length = 0;
    await until(() => seen.includes('db: store'), 'the service to be read on');
    reader.abort();
    await Promise.all(reading);

    expect(new Set(alone)).toEqual(new Set(['undefined: page']));
  });

  it('has what each service uses, and their sum', async () => {
    const { id } = await launch();
    const samples = () =>
      ground.sink.records.flatMap((record) =>
        record.kind === 'metrics' ? record.body.workloads.filter(({ workload_id }) => workload_id === id) : [],
      );

    await until(() => samples().some(({ services }) => services?.length === 2), 'a sample of both services');

    const sample = samples().find(({ services }) => services?.length === 2);
    const sum = sample?.services?.reduce((total, { memory_bytes }) => total + memory_bytes, 0);
    expect(sample?.services?.map(({ service }) => service)).toEqual(['web', 'db']);
    expect(sample?.memory_bytes).toBe(sum);
    expect(sum).toBeGreaterThan(0);
  });
});
