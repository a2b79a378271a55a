/**
 * A fleet of two is updated by its control plane while workloads serve: releases that were published, a rollout that begins with its
 * canary, tasks, downloads over sessions, and the trial, over which the control plane itself may go away (FAULTS 31).
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { freePort } from '../../bootstrap/dev/free-port.ts';
import { ensureBase } from '../../bootstrap/dev/ground.ts';
import type { HostRelease } from '../../bootstrap/dev/images/systemd-host.ts';
import { parseEvents } from '../../src/cli/gpuaas/event-lines.ts';
import { runGpuaas } from '../support/run-gpuaas.ts';
import { type ServeProcess, serveProcess } from '../support/serve-process.ts';
import { type Served, type Serving, startServing } from '../support/serving-host.ts';
import { publisher, writeRelease } from '../support/signed-release.ts';
import { type SystemdHost, startHost } from '../support/systemd-host.ts';
import { binaryOf, type Installed, installAgent, unwell } from '../support/update-ground.ts';

interface Member {
  readonly nodeId: string;
  readonly host: SystemdHost;
  readonly agent: Installed;
  readonly serving: Serving;
}

const folder = mkdtempSync(join(tmpdir(), 'gpuaas-update-task-'));
const life = new AsyncDisposableStack();
const ours = publisher();
let server: ServeProcess;
let token: string;
let listen: string;
/** On Debian 12, and the first to get what is new. */
let canary: Member;
/** On Debian 13. */
let rest: Member;

beforeAll(async () => {
  writeFileSync(join(folder, 'root.pem'), ours.root.pem);
  listen = `127.0.0.1:${await freePort()}`;
  server = await serve(['--init', '--release-root', join(folder, 'root.pem')]);
  token = server.adminToken ?? '';
  const [binary, { registry }] = await Promise.all([binaryOf('0.1.0'), ensureBase()]);
  const { id: project_id } = await ask<{ id: string }>('POST', '/api/v1/projects', { name: 'p', display_name: 'P' });
  const comes = (debian: HostRelease) => member(debian, binary, { project_id, registry: registry.host });
  [canary, rest] = await Promise.all([comes(12), comes(13)]);
  await gpuaas('nodes', 'set', canary.nodeId, '--canary');
}, 900_000);
afterAll(async () => {
  await life.disposeAsync();
  await server?.stop('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

const serve = (args: readonly string[]) => serveProcess(join(folder, 'server'), ['--listen', listen, ...args]);
const gpuaas = (...words: string[]) => runGpuaas({ url: `http://${listen}`, token }, words);

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

/** A host that is a node, with a workload that serves. A trial is looked at every two seconds. */
async function member(
  debian: HostRelease,
  binary: Buffer,
  { project_id, registry }: { readonly project_id: string; readonly registry: string },
): Promise<Member> {
  const host = life.use(await startHost({ debian, hostname: `debian-${debian}` }));
  await host.reach(Number(listen.split(':')[1]));
  await host.write(
    '/etc/systemd/system/gpuaas-node-agent-trial.timer.d/often.conf',
    '[Timer]\nOnActiveSec=\nOnUnitActiveSec=\nOnActiveSec=2s\nOnUnitActiveSec=2s\n',
  );
  const shape = { gpu_count: 0, cpu_cores: 1, memory_gib: 1 };
  const body = { project_id, name: `on-${debian}`, shape };
  const { id: allocation } = await ask<{ id: string }>('POST', '/api/v1/allocations', body);
  const joining = await ask<{ token: string }>('POST', '/api/v1/nodes/join-tokens', { allocation_id: allocation });
  const agent = await installAgent(host, binary, ours, {
    ...{ registry, allocation },
    join: { url: server.url ?? '', token: joining.token },
  });
  const found = async () =>
    (await ask<{ items: (NodeView & { id: string })[] }>('GET', '/api/v1/nodes')).items.find(
      ({ allocation_id, connected }) => allocation_id === allocation && connected,
    );
  await host.waitFor(async () => (await found()) !== undefined, 'a session');
  return { host, agent, serving: await startServing(host, allocation), nodeId: (await found())?.id ?? '' };
}

interface NodeView {
  readonly allocation_id: string;
  readonly connected: boolean;
  readonly agent_version: string;
  readonly update: {
    readonly state: string;
    readonly version: string;
    readonly phase: string | null;
    readonly failure: { code: string } | null;
  } | null;
}
const node = ({ nodeId }: Member) => ask<NodeView>('GET', `/api/v1/nodes/${nodeId}`);

interface Told {
  readonly type: string;
  readonly subject: { readonly id: string };
  readonly data: { readonly phase?: string | null };
}

/** All that was told of updates of nodes, up to this. */
async function toldUntil(type: string, { nodeId }: Member): Promise<Told[]> {
  const headers = { authorization: `Bearer ${token}`, 'last-event-id': '0' };
  const { body } = await fetch(`http://${listen}/api/v1/events`, { headers });
  const told: Told[] = [];
  for await (const { data } of parseEvents(body as AsyncIterable<Uint8Array>)) {
    const event = JSON.parse(data) as Told;
    if (event.type.startsWith('node.update_')) told.push(event);
    if (event.type === type && event.subject.id === nodeId) break;
  }
  return told;
}

async function publish(version: string, program: string | Buffer): Promise<void> {
  writeRelease(join(folder, version), ours.release(version, program));
  const { status, err } = await gpuaas('releases', 'publish', join(folder, version));
  if (status !== 0) throw new Error(err);
}

/** What both hosts served meanwhile. */
async function served(work: () => Promise<void>): Promise<{ canary: Served; rest: Served }> {
  let ofRest: Served | undefined;
  const ofCanary = await canary.serving.during(async () => {
    ofRest = await rest.serving.during(work);
  });
  return { canary: ofCanary, rest: ofRest as Served };
}

const well = { ok: expect.toSatisfy((count: number) => count > 10), failed: 0 };

it('a release goes to its canary and then to the rest, although the control plane goes away meanwhile; no request fails (G-187)', async () => {
  await publish('0.2.0', await binaryOf('0.2.0'));

  const requests = await served(async () => {
    const following = gpuaas('rollouts', 'start', '0.2.0', '--wait', '0', '--jitter', '0', '-f');
    await canary.host.waitFor(
      async () => (await canary.agent.running()).pending.includes('to=0.2.0'),
      'the swap of the canary',
      180,
    );
    expect(await node(rest)).toMatchObject({ agent_version: '0.1.0', update: null });
    await server.stop('SIGKILL');
    await canary.host.waitFor(
      async () => (await canary.agent.guarded('last')).includes('outcome=committed\nversion=0.2.0'),
      'the commit without a control plane',
      180,
    );
    server = await serve([]);
    const { status, err } = await following;
    expect([status, err]).toEqual([0, expect.stringMatching(/debian-12 runs it.*The rest begins.*debian-13 runs it/s)]);
  });

  expect(requests).toMatchObject({ canary: well, rest: well });
  const told = await toldUntil('node.update_committed', rest);
  const phases = ['checking', 'downloading', 'verifying', 'draining', 'swapping', 'on_trial', 'committed'];
  // All of the canary, and then all of the rest.
  expect(
    told.filter(({ type }) => type !== 'node.update_committed').map(({ subject, data }) => [subject.id, data.phase]),
  ).toEqual([canary, rest].flatMap(({ nodeId }) => [null, ...phases].map((phase) => [nodeId, phase])));
  for (const each of [canary, rest]) {
    expect(await node(each)).toMatchObject({ agent_version: '0.2.0', update: { phase: 'committed', failure: null } });
    expect(await each.agent.running()).toEqual({ version: '0.2.0', current: 'versions/0.2.0', pending: '' });
    expect((await gpuaas('nodes', 'show', each.nodeId)).out).toMatch(/^update +to 0\.2\.0: committed,/m);
  }
}, 900_000);

it('one that crashes is rolled back on the canary, and pauses its rollout with the reason; the rest never hears of it (G-187)', async () => {
  await publish('0.3.0', unwell.crashes);

  const requests = await served(async () => {
    const { status, err } = await gpuaas('rollouts', 'start', '0.3.0', '--wait', '0', '--jitter', '0', '-f');
    expect(status).not.toBe(0);
    expect(err).toContain('debian-12 was rolled back');
  });

  expect(requests).toMatchObject({ canary: well, rest: well });
  const { items } = await ask<{ items: object[] }>('GET', '/api/v1/rollouts?state=paused');
  expect(items).toMatchObject([
    { version: '0.3.0', stage: 'canaries', reason: expect.stringMatching(/^debian-12 was rolled back: /) },
  ]);
  expect(await node(canary)).toMatchObject({
    ...{ agent_version: '0.2.0', update: { state: 'rolled_back', failure: { code: 'update.rolled_back' } } },
  });
  expect(await canary.agent.running()).toMatchObject({ version: '0.2.0', pending: '' });
  expect((await node(rest)).update).toMatchObject({ state: 'committed', version: '0.2.0' });
});

/** Its gate is the one before; it says that it is well, and stands still. The watchdog of its service is told to be quicker. */
const standsStill = `#!/bin/sh
case $1 in
  self-test) exit 0 ;;
  gate) exec /opt/gpuaas-node-agent/.back/node-agent gate ;;
esac
nonce=$(sed -n 's/^nonce=//p' /var/lib/gpuaas-node-agent-update/pending)
echo "0.4.0 $nonce" >/var/lib/gpuaas-node-agent/update/alive
exec systemd-notify --ready WATCHDOG_USEC=3000000 --exec \\; sleep 100000
`;

it('one that is well and then stands still is rolled back as soon as systemd says so', async () => {
  await publish('0.4.0', standsStill);

  const requests = await served(async () => {
    const { status } = await gpuaas('nodes', 'update', rest.nodeId, '--to', '0.4.0');
    expect(status).not.toBe(0);
  });

  expect(requests).toMatchObject({ rest: well });
  expect(await node(rest)).toMatchObject({ agent_version: '0.2.0', update: { state: 'rolled_back' } });
  expect(await rest.agent.guarded('skipped')).toBe('0.4.0 It stood still.');
  expect((await rest.agent.guarded('last')).split('\n')).toContain('reason=It stood still.');
});
