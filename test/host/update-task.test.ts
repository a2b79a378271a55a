/**
 * A node is updated by its control plane: a release that was published, a task, a download over the session, and the trial, over which
 * the control plane itself may go away (FAULTS 31).
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { freePort } from '../../bootstrap/dev/free-port.ts';
import { ensureBase } from '../../bootstrap/dev/ground.ts';
import { runGpuaas } from '../support/run-gpuaas.ts';
import { type ServeProcess, serveProcess } from '../support/serve-process.ts';
import { publisher, writeRelease } from '../support/signed-release.ts';
import { type SystemdHost, startHost } from '../support/systemd-host.ts';
import { binaryOf, type Installed, installAgent, unwell } from '../support/update-ground.ts';

const folder = mkdtempSync(join(tmpdir(), 'gpuaas-update-task-'));
const ours = publisher();
let host: SystemdHost;
let agent: Installed;
let server: ServeProcess;
let token: string;
let nodeId: string;
let listen: string;

beforeAll(async () => {
  writeFileSync(join(folder, 'root.pem'), ours.root.pem);
  listen = `127.0.0.1:${await freePort()}`;
  server = await serve(['--init', '--release-root', join(folder, 'root.pem')]);
  token = server.adminToken ?? '';
  const [started, binary, { registry }] = await Promise.all([
    startHost({ debian: 13 }),
    binaryOf('0.1.0'),
    ensureBase(),
  ]);
  host = started;
  await host.reach(Number(listen.split(':')[1]));
  const project = await ask<{ id: string }>('POST', '/api/v1/projects', { name: 'p', display_name: 'P' });
  const shape = { gpu_count: 0, cpu_cores: 1, memory_gib: 1 };
  const body = { project_id: project.id, name: 'a', shape };
  const { id: allocation } = await ask<{ id: string }>('POST', '/api/v1/allocations', body);
  const joining = await ask<{ token: string }>('POST', '/api/v1/nodes/join-tokens', { allocation_id: allocation });
  agent = await installAgent(host, binary, ours, {
    ...{ registry: registry.host, allocation, updates: { stable_seconds: 10 } },
    join: { url: server.url ?? '', token: joining.token },
  });
  const nodes = await ask<{ items: { id: string }[] }>('GET', '/api/v1/nodes');
  nodeId = nodes.items[0]?.id ?? '';
  await host.waitFor(async () => (await node()).connected, 'a session');
}, 900_000);
afterAll(async () => {
  await host?.[Symbol.asyncDispose]();
  await server?.stop('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

const serve = (args: readonly string[]) => serveProcess(join(folder, 'server'), ['--listen', listen, ...args]);

async function ask<T>(method: string, path: string, body?: object): Promise<T> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const response = await fetch(`http://${listen}${path}`, {
    method,
    headers,
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${text}`);
  return JSON.parse(text) as T;
}

interface NodeView {
  readonly connected: boolean;
  readonly agent_version: string;
  readonly update: {
    readonly state: string;
    readonly phase: string | null;
    readonly failure: { code: string } | null;
  } | null;
}
const node = () => ask<NodeView>('GET', `/api/v1/nodes/${nodeId}`);

async function publish(version: string, program: string | Buffer): Promise<void> {
  const release = ours.release(version, program);
  writeRelease(join(folder, version), release);
  const { status, err } = await runGpuaas({ url: `http://${listen}`, token }, [
    'releases',
    'publish',
    join(folder, version),
  ]);
  if (status !== 0) throw new Error(err);
}

it('a version that crashes is rolled back, and the node says so with its reason (G-187)', async () => {
  await publish('0.1.5', unwell.crashes);

  await ask('POST', `/api/v1/nodes/${nodeId}/update`, { version: '0.1.5' });

  await host.waitFor(async () => (await node()).update?.state === 'rolled_back', 'the roll back', 180);
  expect(await node()).toMatchObject({ agent_version: '0.1.0', update: { failure: { code: 'update.rolled_back' } } });
  expect(await agent.running()).toMatchObject({ version: '0.1.0', pending: '' });
});

it('a version that is well stays, although the control plane goes away while it proves itself (G-187)', async () => {
  await publish('0.2.0', await binaryOf('0.2.0'));

  await ask('POST', `/api/v1/nodes/${nodeId}/update`, { version: '0.2.0' });
  await host.waitFor(async () => (await agent.running()).pending.includes('to=0.2.0'), 'the swap', 180);
  await server.stop('SIGKILL');
  await host.waitFor(
    async () => (await agent.guarded('last')).includes('outcome=committed\nversion=0.2.0'),
    'the commit',
    180,
  );
  server = await serve([]);

  await host.waitFor(async () => (await node()).update?.state === 'committed', 'what became of it', 180);
  expect(await node()).toMatchObject({ agent_version: '0.2.0', update: { phase: 'committed', failure: null } });
  expect(await agent.running()).toEqual({ version: '0.2.0', current: 'versions/0.2.0', pending: '' });
});
