/**
 * The end of an allocation on a real host: another tenant gets the host only after everything of this one is wiped, also where
 * the host is away, killed in the middle of it, or keeps a part that does not go.
 */
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readNode } from '../../src/agent/identity/node-record.ts';
import { until } from '../support/daemon-ground.ts';
import { eventsAbout } from '../support/wire-events.ts';
import { type Answer, ok, openWire, type Restartable, type Wire } from '../support/wire-ground.ts';
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
  const ofTenant = () => ['agent.db', 'task-logs', 'stacks'].filter((name) => existsSync(join(folder, 'state', name)));
  const remembered = ofTenant();
  const late = await anotherTenant(used);
  expect([late.code, late.stderr]).toEqual([0, '']);
  expect(readNode(join(folder, 'state'))).toMatchObject({ allocation_id: late.id });
  expect([remembered.slice(0, 2), ofTenant()]).toEqual([['agent.db', 'task-logs'], []]);
}, 300_000);

it('killed again and again while it deletes: it goes on where it was, and says so only when nothing is left', async () => {
  const used = await usedHost('killed');
  const { host, data, running } = used;
  ok(await wire.member.call('POST', `/api/v1/app-instances/${running}/actions`, { action: 'decommission' }));
  await wire.reaches(running, 'decommissioned');
  const folder = join(data, 'projects', wire.projectId, 'shared');
  const files = 20_000;
  for (let file = 0; file < files; file += 1) writeFileSync(join(folder, `${file}`), '');
  const left = () => (existsSync(folder) ? readdirSync(folder).length : 0);
  const killed = async (share: number, ...daemons: Restartable[]) => {
    await until(() => left() < files * share, 'files to be gone');
    await Promise.all(daemons.map((each) => each.stop('SIGKILL')));
    expect(left()).toBeGreaterThan(0);
    expect((await allocation(host)).wipe?.state).toBe('asked');
  };

  await end(host);
  await killed(0.9, host.gate);
  await host.gate.start();
  await killed(0.6, host.agent);
  await host.agent.start();
  await killed(0.3, host.gate, host.agent);
  const early = await anotherTenant(used);
  await host.gate.start();
  await host.agent.start();
  await until(async () => (await allocation(host)).state === 'ended', 'the end');

  expect(early.stderr + early.stdout).toContain('has not ended');
  expect(['workloads', 'projects'].filter((name) => existsSync(join(data, name)))).toEqual([]);
  expect((await told(host)).filter(({ type }) => type === 'allocation.wiped')).toHaveLength(1);
}, 300_000);
