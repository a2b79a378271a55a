/**
 * A stack of two services over the wire, from the request to its end: the synthetic profile `smoke_stack`, on the real
 * engine and the real Compose, through the gate.
 */
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../bootstrap/dev/free-port.ts';
import { containerName, labels, networkName } from '../../src/contract/names.ts';
import { until } from '../support/daemon-ground.ts';
import { engineCall } from '../support/engine-call.ts';
import { eventually } from '../support/eventually.ts';
import type { RawContainer } from '../support/looking.ts';
import { ok, openWire, type Wire } from '../support/wire-ground.ts';
import { addStackApp } from '../support/wire-stack.ts';

let wire: Wire;
let engineSocket: string;

beforeAll(async () => {
  wire = await openWire();
  engineSocket = await addStackApp(wire.admin);
});
afterAll(async () => await wire?.close());

interface Up {
  readonly id: string;
  readonly origin: string;
}

async function launch(port?: number): Promise<Up> {
  const host_port = port ?? (await freePort());
  const { id } = ok(
    await wire.member.call('POST', '/api/v1/app-instances', {
      ...{ app_slug: 'smoke-stack', app_version: '1.0', display_name: 'Two services' },
      ...{ placement_intent: { target_allocation_id: wire.allocationId }, config: { host_port } },
    }),
  );
  return { id, origin: `http://127.0.0.1:${host_port}` };
}

async function up(): Promise<Up> {
  const launched = await launch();
  await wire.reaches(launched.id, 'running');
  return launched;
}

async function act(action: string, id: string): Promise<void> {
  const { code, stderr } = await wire.member.cli('apps', 'instances', action, id).ended;
  if (code !== 0) throw new Error(stderr);
}

const raw = async (id: string, service: string) =>
  (await engineCall<RawContainer>(engineSocket, 'GET', `/containers/${containerName(id, service)}/json`)).body;
const kill = async (id: string, service: string) =>
  await engineCall(engineSocket, 'POST', `/containers/${containerName(id, service)}/kill?signal=KILL`);
const statusOf = async ({ origin }: Up) => (await fetch(origin).catch(() => undefined))?.status;
const membersOf = async (id: string) => {
  const { members } = ok(await wire.member.call('GET', `/api/v1/app-instances/${id}/topology`));
  return Object.fromEntries(members.map(({ name, state }: { name: string; state: string }) => [name, state]));
};
const logsOf = async (id: string, ...more: readonly string[]) =>
  (await wire.member.cli('apps', 'instances', 'logs', id, ...more).ended).stdout;

describe('a stack', () => {
  let stack: Up;
  beforeAll(async () => {
    stack = await up();
  });

  it('runs, each service in a container of its own that is told apart by its name (G-132)', async () => {
    expect(await statusOf(stack)).toBe(200);
    for (const service of ['web', 'watch']) {
      const { Config, HostConfig, State } = await raw(stack.id, service);
      expect(State.Status).toBe('running');
      expect(Config.Labels).toMatchObject({ [labels.instance]: stack.id, [labels.service]: service });
      expect(HostConfig).toMatchObject({ CapDrop: ['ALL'], NetworkMode: networkName(stack.id), Privileged: false });
    }
    expect(await wire.containers(stack.id)).toHaveLength(2);
  });

  it('is shown as its manifest draws it, with the state of each service', async () => {
    const { body } = await wire.member.call('GET', `/api/v1/app-instances/${stack.id}/topology`);

    expect(body).toMatchObject({
      description: 'A web server, and a watcher that asks it by its name.',
      services: [
        { name: 'web', role: 'web server', endpoints: ['web'], mounts: ['data'] },
        { name: 'watch', role: 'watcher', endpoints: [], mounts: [] },
      ],
    });
    expect(await membersOf(stack.id)).toEqual({ web: 'running', watch: 'running' });
  });

  it('has a log for each service, and services that know each other by name', async () => {
    await eventually(async () => expect(await logsOf(stack.id, '--service', 'watch')).toContain('web answered 200'));

    const web = await logsOf(stack.id, '--service', 'web');
    const all = await logsOf(stack.id);
    expect(web).toContain('"GET / HTTP/1.1" 200');
    expect(web).not.toContain('web answered');
    expect(all).toContain('web answered 200');
    expect(all).toContain('"GET / HTTP/1.1" 200');
  });

  it('is measured service by service', async () => {
    const samples = async () => ok(await wire.member.call('GET', `/api/v1/app-instances/${stack.id}/metrics`)).samples;

    await eventually(async () => {
      const { services, memory_bytes } = (await samples()).at(-1);
      expect(services.map(({ service }: { service: string }) => service).toSorted()).toEqual(['watch', 'web']);
      expect(memory_bytes).toBeGreaterThan(0);
    });
  });

  it('has a service that ends started again, and the other one left alone', async () => {
    const before = await raw(stack.id, 'web');
    await kill(stack.id, 'watch');

    await eventually(async () => expect((await membersOf(stack.id)).watch).toBe('running'));
    await eventually(async () => expect((await raw(stack.id, 'watch')).State.Status).toBe('running'));
    await wire.reaches(stack.id, 'running');
    const { restarts } = ok(await wire.member.call('GET', `/api/v1/app-instances/${stack.id}`)).members.find(
      ({ name }: { name: string }) => name === 'watch',
    );
    expect(restarts).toBe(1);
    expect((await raw(stack.id, 'web')).State.Pid).toBe(before.State.Pid);
  });

  it('stops, starts and restarts as one', async () => {
    const { Id } = await raw(stack.id, 'web');
    await act('stop', stack.id);
    expect(await membersOf(stack.id)).toEqual({ web: 'stopped', watch: 'stopped' });
    expect(await statusOf(stack)).toBeUndefined();

    await act('start', stack.id);
    expect(await statusOf(stack)).toBe(200);
    await act('restart', stack.id);

    expect(await statusOf(stack)).toBe(200);
    expect(await membersOf(stack.id)).toEqual({ web: 'running', watch: 'running' });
    expect((await raw(stack.id, 'web')).Id).toBe(Id);
  });

  it('goes on while agent and control plane are killed, and is found again', async () => {
    const before = (await wire.containers(stack.id)).map(({ Id }) => Id).toSorted();

    await wire.agent.stop('SIGKILL');
    await wire.server.stop('SIGKILL');
    expect(await statusOf(stack)).toBe(200);
    await wire.server.start();
    await wire.agent.start();

    await wire.reaches(stack.id, 'running');
    expect((await wire.containers(stack.id)).map(({ Id }) => Id).toSorted()).toEqual(before);
    await act('restart', stack.id);
    expect(await statusOf(stack)).toBe(200);
  });

  it('leaves nothing when it is decommissioned', async () => {
    const home = join(wire.folder, 'home/gpuaas/workloads', stack.id);
    expect(existsSync(join(home, 'data'))).toBe(true);
    const { secrets_dir: secrets } = JSON.parse(readFileSync(wire.configFile, 'utf8'));

    await act('decommission', stack.id);

    expect(await wire.containers(stack.id)).toEqual([]);
    const network = await engineCall(engineSocket, 'GET', `/networks/${networkName(stack.id)}`);
    expect(network.status).toBe(404);
    const left = [home, join(wire.folder, 'state/stacks', stack.id)].filter((path) => existsSync(path));
    expect(left).toEqual([]);
    expect(existsSync(secrets) ? readdirSync(secrets).filter((name) => name.startsWith(stack.id)) : []).toEqual([]);
    expect(await wire.instance(stack.id)).toMatchObject({ state: 'decommissioned', failure: null });
  });
});

describe('a launch of a stack', () => {
  it.each([
    ['agent', 'the first container is made', 'web'],
    ['agent', 'the last one is made', 'watch'],
    ['server', 'the first container is made', 'web'],
  ] as const)('goes on when the %s is killed once %s, and makes nothing twice', async (side, _when, service) => {
    const stack = await launch();
    await until(async () => (await raw(stack.id, service)).Id !== undefined, `a container of ${service}`);
    const { Id } = await raw(stack.id, service);

    await wire[side].stop('SIGKILL');
    await wire[side].start();
    await wire.reaches(stack.id, 'running');

    expect(await statusOf(stack)).toBe(200);
    expect((await raw(stack.id, service)).Id).toBe(Id);
    expect(await wire.containers(stack.id)).toHaveLength(2);
    await act('decommission', stack.id);
  });

  it('that is one of two keeps to itself: services of the same name do not meet', async () => {
    const stacks = [await launch(), await launch()];
    for (const { id } of stacks) await wire.reaches(id, 'running');

    const [one, other] = await Promise.all(stacks.map(({ id }) => raw(id, 'web')));
    expect(one?.NetworkSettings.Networks).not.toEqual(other?.NetworkSettings.Networks);
    await kill(stacks[0]?.id ?? '', 'web');
    await eventually(async () => expect(await logsOf(stacks[1]?.id ?? '', '--service', 'watch')).toContain('200'));
    expect(await membersOf(stacks[1]?.id ?? '')).toEqual({ web: 'running', watch: 'running' });
    for (const { id } of stacks) await act('decommission', id);
  });

  it('on a port that a program of the host holds fails with it, and leaves nothing', async () => {
    const holder = createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    try {
      const { id } = await launch((holder.address() as AddressInfo).port);

      expect((await wire.reaches(id, 'failed')).failure).toMatchObject({ code: 'port.conflict' });
      expect(await wire.containers(id)).toEqual([]);
      expect((await engineCall(engineSocket, 'GET', `/networks/${networkName(id)}`)).status).toBe(404);
    } finally {
      holder.close();
    }
  });
});
