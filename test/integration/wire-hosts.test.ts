/**
 * Two hosts of one control plane, each with its own identity, gate and allocation, on the one engine that there is: neither
 * has anything to do with the other, and one identity on both of them is shut out (FAULTS 32).
 */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { labels } from '../../src/contract/names.ts';
import { until } from '../support/daemon-ground.ts';
import { startNodeAgent } from '../support/run-task-process.ts';
import { type Answer, ok, openWire, type Wire } from '../support/wire-ground.ts';
import { cloneConfig, daemonOf, type WireHost } from '../support/wire-host.ts';

let wire: Wire;
let second: WireHost;

beforeAll(async () => {
  wire = await openWire();
  second = await wire.addHost('second');
});
afterAll(async () => await wire?.close());

/** Launches `web` on the host and resolves when it runs. */
async function runningOn({ allocationId }: WireHost): Promise<Answer['body']> {
  const body = { ...(await wire.request()), placement_intent: { target_allocation_id: allocationId } };
  const { id } = ok(await wire.member.call('POST', '/api/v1/app-instances', body));
  return await wire.reaches(id, 'running');
}

/** Numbers of the lines that `logs -f` has printed so far. */
function followLog(id: string) {
  const { child, ended } = wire.member.cli('apps', 'instances', 'logs', '-f', id);
  let printed = '';
  child.stdout?.on('data', (text: string) => {
    printed += text;
  });
  return {
    numbers: () =>
      printed
        .split('\n')
        .slice(0, -1)
        .map((line) => Number(line.replace('line ', ''))),
    end: async () => {
      child.kill('SIGINT');
      await ended;
    },
  };
}

const asked = async (host: Pick<WireHost, 'configFile'>, command: string) =>
  JSON.parse((await startNodeAgent([command, '--config', host.configFile, '--json']).ended).stdout);
const node = async ({ nodeId }: WireHost) => ok(await wire.admin.call('GET', `/api/v1/nodes/${nodeId}`));

describe('two hosts', () => {
  it('each get what is launched on their own allocation, and know of nothing else', async () => {
    const hosts = [wire, second];

    const instances = await Promise.all(hosts.map(runningOn));

    expect(instances.map(({ node_id }) => node_id)).toEqual(hosts.map(({ nodeId }) => nodeId));
    for (const [index, host] of hosts.entries()) {
      const { id } = instances[index];
      expect((await wire.inspect(id)).Config.Labels[labels.allocation]).toBe(host.allocationId);
      const { workloads } = await asked(host, 'status');
      expect(workloads.map((each: { workload_id: string }) => each.workload_id)).toEqual([id]);
    }
  });

  it('stream beside each other; one that is cut off does not disturb the other, and misses nothing', async () => {
    const [here, there] = await Promise.all([runningOn(wire), runningOn(second)]);
    const logs = [followLog(here.id), followLog(there.id)] as const;
    await until(() => logs.every((log) => log.numbers().length > 5), 'lines of both');

    wire.proxy.cut(second.agent.pid);
    await until(async () => (await node(second)).connected === false, 'the other to be cut off');
    const [before] = logs.map((log) => log.numbers().length) as [number];
    await until(() => logs[0].numbers().length > before + 20, 'lines of the other');
    const launched = await runningOn(wire);
    expect((await wire.member.cli('apps', 'instances', 'stop', launched.id).ended).code).toBe(0);
    expect(await node(wire)).toMatchObject({ connected: true, status: 'enrolled' });
    wire.proxy.mend();

    await until(async () => (await node(second)).connected, 'it to be back');
    const after = logs[1].numbers().length;
    await until(() => logs[1].numbers().length > after + 5, 'lines of the one that was away');
    await Promise.all(logs.map((log) => log.end()));
    for (const log of logs) expect(log.numbers()).toEqual(log.numbers().map((_, index) => index + 1));
  });
});

describe('one identity on two hosts (FAULTS 32)', () => {
  it('is refused at the start by a host that is configured for another allocation', async () => {
    const configFile = cloneConfig(second.configFile, join(wire.folder, 'mistaken'));
    cpSync(join(wire.folder, 'state/identity'), join(wire.folder, 'mistaken/state/identity'), { recursive: true });

    const { code, stderr } = await startNodeAgent(['run', '--config', configFile]).ended;

    expect(code).toBe(78);
    expect(stderr).toContain('/allocation/id');
    expect(stderr).toContain(wire.allocationId);
  });

  it('ends in a quarantine that lets neither in until an operator releases it; nothing flaps, the other host works', async () => {
    const here = await runningOn(wire);
    const there = await runningOn(second);
    const configFile = cloneConfig(second.configFile, join(wire.folder, 'copy'));
    cpSync(join(wire.folder, 'second/state/identity'), join(wire.folder, 'copy/state/identity'), { recursive: true });
    const isUp = async () => (await startNodeAgent(['status', '--config', configFile]).ended).code === 0;
    const copy = daemonOf(wire.folder, ['run', '--config', configFile], { logs: [], isReady: isUp });
    await using _copy = { [Symbol.asyncDispose]: () => copy.stop('SIGKILL') };
    const sessionOf = async (file: string) => (await asked({ configFile: file }, 'status')).session;

    await copy.start();
    await until(
      async () => (await sessionOf(second.configFile)).state !== 'connected',
      'the original to lose its session',
    );
    // A host that comes back, as after a boot, with the last epoch that it knows.
    await second.agent.stop('SIGKILL');
    // It gets no session, so nobody waits for one.
    void second.agent.start().catch(() => undefined);
    await quarantined();
    for (const file of [second.configFile, configFile]) {
      await until(async () => (await sessionOf(file))?.state === 'refused', 'both to be shut out');
    }
    const { gpuaas_sessions_admitted_total: admitted, gpuaas_sessions_refused_total: refused } = await counters();
    await until(
      async () => ((await counters()).gpuaas_sessions_refused_total ?? 0) >= (refused ?? 0) + 2,
      'both to ask again',
    );

    expect(admitted).toBeGreaterThanOrEqual(3);
    expect((await counters()).gpuaas_sessions_admitted_total).toBe(admitted);
    expect(await node(second)).toMatchObject({ status: 'quarantined', connected: false });
    const { items } = ok(await wire.admin.call('GET', '/api/v1/nodes'));
    expect(items.map(({ id, status }: { id: string; status: string }) => [id, status])).toContainEqual([
      wire.nodeId,
      'enrolled',
    ]);
    expect((await wire.instance(here.id)).state).toBe('running');
    expect((await wire.inspect(there.id)).State.Status).toBe('running');

    await copy.stop('SIGKILL');
    expect((await wire.admin.cli('nodes', 'release', second.nodeId).ended).code).toBe(0);
    await second.agent.stop();
    await second.agent.start();
    await wire.reaches(there.id, 'running');
  }, 600_000);
});

const quarantined = () => until(async () => (await node(second)).status === 'quarantined', 'the quarantine');

/** Counters of the control plane that have no labels. */
async function counters(): Promise<Record<string, number>> {
  const { body } = await wire.admin.call('GET', '/metrics');
  const rows = String(body).matchAll(/^(\w+) (\d+)$/gm);
  return Object.fromEntries(Array.from(rows, ([, name, value]) => [name, Number(value)]));
}
