/**
 * The end of an allocation on a real host: another tenant gets the host only after everything of this one is wiped, also where
 * the host is away, killed in the middle of it, or keeps a part that does not go.
 */
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readNode } from '../../src/agent/identity/node-record.ts';
import { until } from '../support/daemon-ground.ts';
import { eventsAbout } from '../support/wire-events.ts';
import { type Answer, ok, openWire, type Wire } from '../support/wire-ground.ts';
import { enrolment, type WireHost } from '../support/wire-host.ts';

let wire: Wire;

beforeAll(async () => {
  wire = await openWire();
});
afterAll(async () => await wire?.close());

const allocation = async ({ allocationId }: WireHost): Promise<Answer['body']> =>
  ok(await wire.admin.call('GET', `/api/v1/allocations/${allocationId}`));
const told = ({ allocationId }: WireHost) => eventsAbout(wire, allocationId, 'allocation.ended');
const end = async ({ allocationId }: WireHost) =>
  expect((await wire.admin.cli('allocations', 'end', allocationId).ended).code).toBe(0);

/** A host whose tenant has left data in every way that there is, and one instance that runs. */
async function usedHost(name: string) {
  const host = await wire.addHost(name);
  const folder = join(wire.folder, name);
  const launch = async () => {
    const body = { ...(await wire.request()), placement_intent: { target_allocation_id: host.allocationId } };
    const { id } = ok(await wire.member.call('POST', '/api/v1/app-instances', body));
    await wire.reaches(id, 'running');
    return id as string;
  };
  const [kept, running] = [await launch(), await launch()];
  const act = { action: 'decommission', keep_data: true };
  ok(await wire.member.call('POST', `/api/v1/app-instances/${kept}/actions`, act));
  await wire.reaches(kept, 'decommissioned');
  const data = join(folder, 'home/gpuaas');
  const project = join(data, 'projects', wire.projectId, 'shared');
  mkdirSync(project, { recursive: true });
  for (const each of [project, join(data, 'workloads', kept, 'data')])
    writeFileSync(join(each, 'secret'), 'of a tenant');
  return { host, folder, data, running };
}

/** Tries to make the host that of another allocation, and gives the token's answer. */
async function anotherTenant({ host, folder }: Awaited<ReturnType<typeof usedHost>>) {
  const shape = { gpu_count: 0, cpu_cores: 4, memory_gib: 4 };
  const { id: project_id } = ok(await wire.admin.call('POST', '/api/v1/projects', { name: `next-${randomUUID()}` }));
  const { id } = ok(await wire.admin.call('POST', '/api/v1/allocations', { project_id, name: 'next', shape }));
  const { token } = ok(await wire.admin.call('POST', '/api/v1/nodes/join-tokens', { allocation_id: id }));
  const config = JSON.parse(readFileSync(host.configFile, 'utf8'));
  const configFile = join(folder, 'next.json');
  writeFileSync(configFile, JSON.stringify({ ...config, allocation: { ...config.allocation, id } }), { mode: 0o600 });
  const enrolled = await enrolment({ folder, url: wire.url, configFile, token });
  return { id, ...enrolled };
}

it('with the host away: nobody else gets it until it is back and has wiped, and the wipe is on record', async () => {
  const used = await usedHost('away');
  const { host, folder, data, running } = used;
  await host.agent.stop('SIGKILL');

  await end(host);
  const early = await anotherTenant(used);
  const meanwhile = await allocation(host);
  await host.agent.start();
  await until(async () => (await allocation(host)).state === 'ended', 'the end');

  expect(early.code).not.toBe(0);
  expect(early.stderr + early.stdout).toContain('has not ended');
  expect(meanwhile.state).toBe('releasing');
  expect(await wire.containers(running)).toEqual([]);
  expect(['workloads', 'projects'].filter((name) => existsSync(join(data, name)))).toEqual([]);
  const events = await told(host);
  expect(events.map(({ type }) => type).slice(-3)).toEqual([
    ...['allocation.releasing', 'allocation.wiped', 'allocation.ended'],
  ]);
  expect(events.at(-2)?.data).toMatchObject({ node_id: host.nodeId, kept: [] });
  expect(events.at(-2)?.data['removed']).toContain(join(data, 'projects', wire.projectId));

  await host.agent.stop();
  const late = await anotherTenant(used);
  expect([late.code, late.stderr]).toEqual([0, '']);
  expect(readNode(join(folder, 'state'))).toMatchObject({ allocation_id: late.id });
}, 300_000);

it('killed in the middle of the wipe: agent and gate come back, and it is done once', async () => {
  const { host, data, running } = await usedHost('killed');
  ok(await wire.member.call('POST', `/api/v1/app-instances/${running}/actions`, { action: 'decommission' }));
  await wire.reaches(running, 'decommissioned');
  // What the agent asks of the gate is not answered.
  process.kill(host.gate.pid, 'SIGSTOP');

  await end(host);
  const wipes = async () => (await allocation(host)).wipe?.state;
  await until(async () => (await wipes()) === 'asked', 'the wipe to be asked for');
  await host.agent.stop('SIGKILL');
  await host.gate.stop('SIGKILL');
  expect(existsSync(join(data, 'projects'))).toBe(true);
  await host.gate.start();
  await host.agent.start();
  await until(async () => (await allocation(host)).state === 'ended', 'the end');

  expect(['workloads', 'projects'].filter((name) => existsSync(join(data, name)))).toEqual([]);
  expect((await told(host)).filter(({ type }) => type === 'allocation.wiped')).toHaveLength(1);
}, 300_000);
