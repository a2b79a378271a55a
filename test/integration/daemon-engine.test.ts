/**
 * The daemon and an engine of its own, which a test may restart, freeze and fill with what is not ours
 * (FAULTS 16, 17, 29).
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type PrivateEngine, startPrivateEngine } from '../../bootstrap/dev/private-engine.ts';
import { containerName, labels } from '../../src/contract/names.ts';
import { noCards } from '../../src/policy/given-cards.ts';
import { renderContainer } from '../../src/policy/render-container.ts';
import { type DaemonGround, openConnectedGround, outputOf, until } from '../support/daemon-ground.ts';
import { engineCall } from '../support/engine-call.ts';
import { containerOf, containersNamed, inspectRaw, networksOf, statusOf } from '../support/looking.ts';
import type { RunningTask } from '../support/run-task-process.ts';
import { stackLaunchParams } from '../support/stack-launch.ts';
import type { LaunchParams } from '../support/test-host.ts';

let folder: string;
let engine: PrivateEngine;
let ground: DaemonGround;
let tiny: string;
let daemon: RunningTask;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gpd-'));
  engine = await startPrivateEngine(join(folder, 'e'), { flags: ['--live-restore'] });
  ({ ground, daemon, tiny } = await openConnectedGround({ engineSocket: engine.socketPath }));
});
afterEach(() => engine.thaw());
afterAll(async () => {
  await ground?.close();
  await engine?.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function launch(over: Partial<LaunchParams> = {}): Promise<LaunchParams> {
  const params = ground.host.launchParams(tiny, over);
  outputOf(await ground.run('workload.oci_launch', params));
  return params;
}

const idOf = ({ identity }: LaunchParams) => identity.app_instance_id;
const typesOf = (params: LaunchParams) => ground.events(idOf(params)).map(({ event }) => event.type);
const hostTypes = () => ground.events(null).map(({ event }) => event.type);

async function remove({ identity }: Pick<LaunchParams, 'identity'>) {
  const params = { identity, keep_data: false, grace_seconds: 0 };
  return await ground.run('workload.oci_remove', params);
}

describe('an engine that restarts (FAULTS 16)', () => {
  it('makes workloads unknown while it is away, never failed, and they live on', async () => {
    const params = await launch();
    const before = await inspectRaw(ground.host, containerOf(params));

    process.kill(engine.pid, 'SIGKILL');
    await until(() => typesOf(params).includes('workload.unknown'), 'the absence to be told');
    await engine.restart();
    await until(() => typesOf(params).includes('workload.seen'), 'the workload to be seen again');

    expect(ground.events(idOf(params)).map(({ state }) => state)).toEqual(['unknown', 'running']);
    const after = await inspectRaw(ground.host, containerOf(params));
    expect([after.Id, after.State.Pid]).toEqual([before.Id, before.State.Pid]);
    outputOf(await remove(params));
  });

  it('is listened to again: what ends afterwards is restarted by its policy', async () => {
    const params = await launch({ restart: { policy: 'on_failure', max_retries: 3 } });

    await engine.restart();
    await ground.host.signal(containerOf(params), 'KILL');
    await until(() => typesOf(params).includes('workload.running'), 'the workload to be back');

    const ends = ['container.exited', 'workload.restarted', 'workload.running'];
    expect(typesOf(params).filter((type) => ends.includes(type))).toEqual(ends);
    expect(ground.events(idOf(params)).map(({ state }) => state)).not.toContain('failed');
    outputOf(await remove(params));
  });
});

describe('an engine that restarts under a stack (FAULTS 16)', () => {
  it('makes it unknown, never failed; what ended meanwhile is told by service, and restarted alone', async () => {
    const params = stackLaunchParams(ground.host, tiny);
    const id = params.identity.app_instance_id;
    const [web, db] = ['web', 'db'].map((service) => containerName(id, service));
    const events = () => ground.events(id);
    outputOf(await ground.run('workload.compose_launch', params));
    const before = await inspectRaw(ground.host, String(web));
    const { State } = await inspectRaw(ground.host, String(db));

    process.kill(engine.pid, 'SIGKILL');
    await until(() => events().some(({ event }) => event.type === 'workload.unknown'), 'the absence to be told');
    process.kill(State.Pid, 'SIGKILL');
    await engine.restart();
    await until(() => events().some(({ event }) => event.type === 'workload.running'), 'the service to be back');

    const ended = events().find(({ event }) => event.type === 'container.exited');
    expect(ended?.event.values).toMatchObject({ service: 'db' });
    expect(events().map(({ state }) => state)).not.toContain('failed');
    expect((await inspectRaw(ground.host, String(web))).State.Pid).toBe(before.State.Pid);
    outputOf(
      await ground.run('workload.compose_remove', { identity: params.identity, keep_data: false, grace_seconds: 0 }),
    );
  });
});

describe('an engine that hangs (FAULTS 17)', () => {
  it('is engine.timed_out, and all is well by itself when it goes on', async () => {
    const params = await launch();
    const seen = hostTypes().length;

    await engine.freeze();
    const stop = { identity: params.identity, action: 'stop', grace_seconds: 0 } as const;
    const stopped = await ground.run('workload.oci_control', stop);
    await until(() => hostTypes().slice(seen).includes('engine.away'), 'the absence to be told');
    engine.thaw();
    await until(() => hostTypes().slice(seen).includes('engine.back'), 'the engine to be back');

    expect(stopped).toMatchObject({ status: 'failed', failure: { code: 'engine.timed_out', retryable: true } });
    const away = ground
      .events(null)
      .slice(seen)
      .find(({ event }) => event.type === 'engine.away');
    expect(away?.event.values).toMatchObject({ code: 'engine.timed_out' });
    expect(daemon.child.exitCode).toBeNull();
    expect(ground.events(idOf(params)).map(({ state }) => state)).not.toContain('failed');
    outputOf(await remove(params));
    await launch();
  });
});

describe('what is left over, and what is not ours (FAULTS 29)', () => {
  /** A container on the engine that no gate has made. */
  async function strange(name: string, more: Readonly<Record<string, unknown>> = {}): Promise<string> {
    const body = { Image: tiny, Entrypoint: ['/bin/sh', '-c', 'sleep 1000'], ...more };
    const made = await engineCall<{ Id: string }>(engine.socketPath, 'POST', `/containers/create?name=${name}`, body);
    await engineCall(engine.socketPath, 'POST', `/containers/${made.body.Id}/start`);
    return made.body.Id;
  }

  it('ours is taken away, also a mere network; a container of somebody else is not touched, whatever it says', async () => {
    const gone = await launch();
    const left = ground.host.launchParams(tiny);
    // What a kill between two calls leaves: a network without its container, and nothing in any journal.
    const network = containerOf(left);
    const owner = ownerOf(left.identity);
    const imitation = await strange('imitation', { Labels: { ...owner, [labels.seal]: 'x'.repeat(43) } });
    daemon.child.kill('SIGKILL');
    await daemon.ended;
    await ground.host.engine.ensureNetwork(network, owner, AbortSignal.timeout(60_000));

    daemon = ground.start();
    await until(() => ground.events(idOf(left)).length > 0, 'the orphan to be taken away');

    expect(ground.events(idOf(left)).map(({ event }) => event.type)).toEqual(['orphan.removed']);
    expect(await networksOf(ground.host, network)).toEqual([]);
    expect(await statusOf(ground.host, imitation)).toBe('running');
    expect(await statusOf(ground.host, containerOf(gone))).toBe('running');
    expect(await networksOf(ground.host, containerOf(gone))).toHaveLength(1);
    outputOf(await remove(gone));
  });

  it('a container with our name is name.conflict, for a launch and for a remove, and lives on', async () => {
    const params = ground.host.launchParams(tiny);
    const foreign = await strange(containerOf(params));

    const launched = await ground.run('workload.oci_launch', params);
    const removed = await remove(params);

    expect([launched.failure?.code, removed.failure?.code]).toEqual(['name.conflict', 'name.conflict']);
    expect(await containersNamed(ground.host, containerOf(params))).toEqual([foreign]);
    expect(await statusOf(ground.host, foreign)).toBe('running');
  });

  it('a container of ours that a task had removed, and that is there all the same, is taken away', async () => {
    const params = await launch();
    outputOf(await remove(params));
    daemon.child.kill('SIGKILL');
    await daemon.ended;
    await makeAgain(params);

    daemon = ground.start();
    await until(() => typesOf(params).includes('orphan.removed'), 'the orphan to be taken away');

    expect(await containersNamed(ground.host, containerOf(params))).toEqual([]);
    expect(await networksOf(ground.host, containerOf(params))).toEqual([]);
  });
});

function ownerOf({ project_id, app_instance_id, allocation_id }: LaunchParams['identity']): Record<string, string> {
  return { [labels.instance]: app_instance_id, [labels.project]: project_id, [labels.allocation]: allocation_id };
}

/** As a call to the gate does that comes too late: the launch was the first task of the workload. */
async function makeAgain(params: LaunchParams): Promise<void> {
  const { host } = ground;
  const signal = AbortSignal.timeout(60_000);
  const image = await host.engine.image(tiny, signal);
  if (!image) {
    throw new Error('the image is gone');
  }
  const made = { params, policy: host.policy, image, sealedEnv: {}, cards: noCards, taskId: 'late', fencing: 1 };
  const { name, request } = renderContainer(made);
  await host.engine.ensureNetwork(name, ownerOf(params.identity), signal);
  await host.engine.create(name, request, signal);
  await host.engine.start(name, signal);
}
