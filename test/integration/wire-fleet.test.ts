/** A fleet of 200 real agent sessions, and a control plane that is a process of its own, ends, and comes back (FAULTS 2). */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { freePort } from '../../bootstrap/dev/free-port.ts';
import { controlPlaneOrigin } from '../../src/agent/control-plane/origin.ts';
import { enrol } from '../../src/agent/identity/enrol.ts';
import { until } from '../support/hub-ground.ts';
import { type ServeProcess, serveProcess } from '../support/serve-process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { startAgent, type WiredAgent } from '../support/wired-agent.ts';

const fleet = 200;
/** Hosts that join at a time. */
const together = 20;
const folder = temporaryFolder('fleet');
const agents: WiredAgent[] = [];
let server: ServeProcess;
let ask: Ask;

beforeAll(async () => {
  // One that nobody takes while the control plane is away.
  const listen = `127.0.0.1:${await freePort()}`;
  server = await serveProcess(join(folder, 'server'), ['--init', '--listen', listen, '--log-level', 'error']);
  const { url = '', adminToken = '' } = server;
  ask = asking(url, adminToken);
  const project = { name: 'fleet', display_name: 'Fleet' };
  const { id } = await ask<{ id: string }>('POST', '/api/v1/projects', project);
  for (let first = 0; first < fleet; first += together) {
    const hosts = Array.from({ length: together }, (_, index) => hostOf(url, id, first + index));
    agents.push(...(await Promise.all(hosts)));
  }
});
afterAll(async () => {
  await Promise.all(agents.map((agent) => agent.close()));
  await server.stop('SIGKILL');
});

type Ask = <T>(method: string, path: string, body?: object) => Promise<T>;

function asking(url: string, token: string): Ask {
  return async <T>(method: string, path: string, body?: object) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const response = await fetch(url + path, { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${text}`);
    return (response.headers.get('content-type')?.includes('json') ? JSON.parse(text) : text) as T;
  };
}

/** A number of `/metrics`; 0 where it is not there yet. */
async function metric(ask: Ask, name: string): Promise<number> {
  const line = (await ask<string>('GET', '/metrics')).split('\n').find((each) => each.startsWith(`${name} `));
  return Number(line?.split(' ')[1] ?? 0);
}

/** Makes an allocation, enrols a host for it, and starts its agent. */
async function hostOf(url: string, project_id: string, number: number): Promise<WiredAgent> {
  const name = `host-${number}`;
  const shape = { gpu_count: 0, cpu_cores: 1, memory_gib: 1 };
  const { id } = await ask<{ id: string }>('POST', '/api/v1/allocations', { project_id, name, shape });
  const { token } = await ask<{ token: string }>('POST', '/api/v1/nodes/join-tokens', { allocation_id: id });
  const stateDir = join(folder, name);
  const host = { hostname: name, agent_version: '1.0.0', os: 'Debian 12', arch: 'x64' };
  await enrol({ stateDir, origin: controlPlaneOrigin(url), token, host });
  return startAgent({ stateDir, origin: url });
}

const waitsOf = ({ states }: WiredAgent) => states.flatMap((each) => (each.kind === 'waiting' ? [each.delay_ms] : []));

/** Most of them that fall into one tenth of the time over which they are spread. */
function crowding(waits: readonly number[]): number {
  const longest = Math.max(...waits);
  const tenths = Map.groupBy(waits, (ms) => Math.min(9, Math.floor((ms / longest) * 10)));
  return Math.max(...[...tenths.values()].map(({ length }) => length));
}

it.each(['SIGKILL', 'SIGTERM'] as const)(
  '200 agents come back after a %s of the control plane, each once, spread out, with nothing lost or asked twice (FAULTS 2)',
  async (signal) => {
    const { url = '' } = server;
    await until(async () => (await metric(ask, 'gpuaas_nodes_connected')) === fleet);
    for (const { begun } of agents) begun.length = 0;
    const drain = signal === 'SIGKILL';
    await Promise.all(agents.map(({ nodeId }) => ask('POST', `/api/v1/nodes/${nodeId}/drain`, { drain })));
    await until(() => agents.every(({ begun }) => begun.length === 1));
    for (const { states } of agents) states.length = 0;

    await server.stop(signal);
    for (const agent of agents) for (const task of agent.begun) agent.finish(task);
    // Long enough away that all of them have tried in vain, again and again.
    if (signal === 'SIGKILL') await until(() => agents.every((agent) => waitsOf(agent).length >= 5));
    server = await serveProcess(join(folder, 'server'), ['--listen', new URL(url).host, '--log-level', 'error']);
    await until(async () => (await metric(ask, 'gpuaas_nodes_connected')) === fleet);
    const succeeded = 'gpuaas_tasks_ended_total{status="succeeded"}';
    await until(async () => (await metric(ask, succeeded)) >= fleet);

    const nth = (index: number) => agents.map((agent) => waitsOf(agent)[index] ?? 0);
    const sum = (waits: readonly number[]) => waits.reduce((all, each) => all + each, 0);
    const [first, fifth] = [nth(0), nth(4)];
    expect(crowding(first)).toBeLessThan(fleet / 3);
    if (signal === 'SIGKILL') expect(crowding(fifth)).toBeLessThan(fleet / 3);
    if (signal === 'SIGKILL') expect(sum(fifth)).toBeGreaterThan(2 * sum(first));
    else expect(sum(first) / fleet).toBeGreaterThan(1000);
    expect(await metric(ask, 'gpuaas_sessions_admitted_total')).toBe(fleet);
    expect(await metric(ask, 'gpuaas_sessions_refused_total')).toBe(0);
    expect(await metric(ask, succeeded)).toBe(fleet);
    expect(agents.filter(({ begun }) => begun.length !== 1)).toEqual([]);
  },
);
