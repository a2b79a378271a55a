/**
 * The clock of the host, or of the control plane, jumps a day either way under the real processes: nothing expires, nothing
 * is dropped, nobody is shut out (FAULTS 20).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { unpackPackage } from '../../bootstrap/dev/packages.ts';
import { startRegistry } from '../../bootstrap/dev/registry.ts';
import { openConnectedGround, outputOf, until } from '../support/daemon-ground.ts';
import { engineCall } from '../support/engine-call.ts';
import { startNodeAgent } from '../support/run-task-process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { ok, openWire, personOf, type Wire } from '../support/wire-ground.ts';
import { sweepClocks, type WrongClock, wrongClock } from '../support/wrong-clock.ts';
import { pushFreshImage } from './engine-images.ts';

const folder = temporaryFolder('wire-clock');
let clocks: Readonly<Record<'agent' | 'server', WrongClock>>;
let wire: Wire;

beforeAll(async () => {
  clocks = { agent: await wrongClock(folder), server: await wrongClock(folder) };
  const { agent, server } = clocks;
  wire = await openWire({ environment: { agent: agent.environment, server: server.environment } });
});
afterEach(async () => {
  for (const clock of Object.values(clocks)) clock.set('+0');
  // The host has room for as many as it has cores.
  const { items } = (await wire.member.call('GET', '/api/v1/app-instances')).body;
  for (const { id, state } of items) {
    if (state !== 'decommissioned') await wire.member.cli('apps', 'instances', 'decommission', id).ended;
  }
});
afterAll(async () => {
  await wire?.close();
  sweepClocks();
});

/** Sessions that the agent has had since it was started. */
async function connects(): Promise<number> {
  const { stdout } = await startNodeAgent(['status', '--config', wire.configFile, '--json']).ended;
  return (JSON.parse(stdout) as { session: { connects: number } }).session.connects;
}

async function running(config: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const { id } = await wire.launch(config);
  await wire.reaches(id, 'running');
  return id;
}

/** For a connection of the node that is cut: people get to the control plane another way. */
async function launchPastTheProxy(): Promise<{ readonly id: string }> {
  const { call } = personOf(`http://127.0.0.1:${wire.proxy.target}`, wire.member.token);
  return ok(await call('POST', '/api/v1/app-instances', await wire.request()));
}

/** How often the processes have written down a time that is about so many days from now. */
const timesThatFarAway = (days: number) =>
  [...wire.logs().matchAll(/"time":"([^"]+)"/g)].filter(
    ([, time = '']) => Math.round((Date.parse(time) - Date.now()) / 86_400_000) === days,
  ).length;

const containerOf = async (id: string) => {
  const { Id, State } = await wire.inspect(id);
  return [Id, State.Pid, State.Status];
};

describe.each([
  ['agent', '+1d', 1],
  ['agent', '-1d', -1],
  ['server', '+1d', 1],
  ['server', '-1d', -1],
] as const)('the clock of the %s jumps by %s', (side, offset, days) => {
  it('while connected: a launch goes on, the next one is taken at once, the session stays', async () => {
    const before = await connects();
    const underWay = await wire.launch({ wait_seconds: 3 });
    await until(async () => (await wire.containers(underWay.id))[0]?.State === 'running', 'the container to run');

    clocks[side].set(offset);
    const next = await running();
    await wire.reaches(underWay.id, 'running');
    clocks[side].set('+0');
    const last = await running();

    expect(await connects()).toBe(before);
    expect((await wire.instance(underWay.id)).failure).toBeNull();
    for (const id of [underWay.id, next, last]) expect(await containerOf(id)).toContain('running');
  });

  it('while there is no connection: what waited is carried out, and the next session stands', async () => {
    const lines = timesThatFarAway(days);
    const old = await running();
    const container = await containerOf(old);
    const before = await connects();

    wire.proxy.cut();
    const waiting = await launchPastTheProxy();
    clocks[side].set(offset);
    wire.proxy.mend();
    await wire.reaches(waiting.id, 'running');
    const between = await connects();
    wire.proxy.cut();
    clocks[side].set('+0');
    wire.proxy.mend();
    await until(async () => (await connects()) === before + 2, 'the next session');
    await running();

    expect(between).toBe(before + 1);
    expect(timesThatFarAway(days)).toBeGreaterThan(lines);
    expect(await containerOf(old)).toEqual(container);
    expect((await wire.instance(old)).state).toBe('running');
  });

  it('and it is restarted with that clock: it is back, with all that it had', async () => {
    const old = await running();
    const container = await containerOf(old);

    await wire[side].stop('SIGKILL');
    clocks[side].set(offset);
    await wire[side].start();
    await until(
      async () => (await wire.admin.call('GET', `/api/v1/nodes/${wire.nodeId}`)).body.connected,
      'the session',
    );
    await running();

    expect(await containerOf(old)).toEqual(container);
    expect((await wire.instance(old)).state).toBe('running');
  });
});

it.each(['+1d', '-1d'])(
  'the bearer of a session is good for a pull when the clock of the agent jumps by %s',
  async (offset) => {
    await using undo = new AsyncDisposableStack();
    const registry = await startRegistry(join(folder, `registry${offset}`));
    undo.defer(() => registry.stop());
    const policy = { registries: [{ host: registry.host, prefixes: [''] }] };
    const clock = await wrongClock(folder);
    const env = { ...process.env, ...clock.environment };
    const { ground, daemon } = await openConnectedGround({ policy }, {}, { env });
    undo.defer(() => ground.close());
    const shell = readFileSync(join(await unpackPackage('busybox-static'), 'bin/busybox'));
    const { repository, digest } = await pushFreshImage(registry.host, 'clock', { shell });
    const reference = `${registry.host}/${repository}@${digest}`;
    undo.defer(async () => {
      await ground.host.clear();
      await engineCall(ground.host.engineSocket, 'DELETE', `/images/${reference}`);
    });

    clock.set(offset);
    const result = await ground.run('workload.oci_launch', ground.host.launchParams(reference));

    expect(outputOf(result).state).toBe('running');
    // The agent did have another day; what is kept of it has the time of the control plane.
    const [, time = ''] = await daemon.saw(/"time":"([^"]+)"[^\n]*"task taken"/);
    const off = (at: string) => Math.abs(Date.parse(at) - Date.now());
    expect(off(time)).toBeGreaterThan(80_000_000);
    expect(off(result.started_at)).toBeLessThan(3_600_000);
  },
);
