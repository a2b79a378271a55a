/** What who runs a control plane relies on, with every part a process of its own. */
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../support/daemon-ground.ts';
import { startNodeAgent } from '../support/run-task-process.ts';
import { openWire, type Wire } from '../support/wire-ground.ts';

/** A registry that answers when the test lets it. */
const asked: ServerResponse[] = [];
const slowRegistry = createServer((_request, response) => void asked.push(response));
let slowHost: string;
let wire: Wire;

beforeAll(async () => {
  slowRegistry.listen(0, '127.0.0.1');
  await once(slowRegistry, 'listening');
  slowHost = `127.0.0.1:${(slowRegistry.address() as AddressInfo).port}`;
  wire = await openWire({ serve: ['--registry', slowHost] });
});
afterAll(async () => {
  await wire?.close();
  slowRegistry.closeAllConnections();
  slowRegistry.close();
});

/** A stream of the control plane and what it has said so far; `ended` rejects where it was cut off. */
async function open(path: string, headers: Record<string, string> = {}) {
  const response = await fetch(`${wire.url}${path}`, {
    headers: { authorization: `Bearer ${wire.admin.token}`, ...headers },
  });
  expect(response.status).toBe(200);
  let text = '';
  const ended = (async () => {
    for await (const piece of response.body?.pipeThrough(new TextDecoderStream()) ?? []) text += piece;
  })();
  // Whoever looks at it hears of it.
  ended.catch(() => undefined);
  return { text: () => text, ended };
}

interface Task {
  readonly task_id: string;
  readonly type: string;
  readonly workload_id: string;
  readonly trace_id: string;
}

async function tasksOf(id: string): Promise<Task[]> {
  const { stdout } = await startNodeAgent(['tasks', '--config', wire.configFile, '--json']).ended;
  const { tasks } = JSON.parse(stdout) as { tasks: Task[] };
  return tasks.filter(({ workload_id }) => workload_id === id);
}

it('the name of a request goes all the way: events, audit, task, the log of the task and that of the agent (X-9)', async () => {
  const named = (name: string) => ({ 'x-correlation-id': name });
  const { body } = await wire.member.call('POST', '/api/v1/app-instances', await wire.request(), named('the-launch'));
  const { id } = body;
  await wire.reaches(id, 'running');
  await wire.member.call('POST', `/api/v1/app-instances/${id}/actions`, { action: 'stop' }, named('the-stop'));
  await wire.reaches(id, 'stopped');

  const { items: events } = (await wire.member.call('GET', `/api/v1/app-instances/${id}/events`)).body;
  const { items: entries } = (await wire.admin.call('GET', '/api/v1/audit')).body;
  const tasks = await tasksOf(id);
  const logs = await Promise.all(
    tasks.map(async ({ task_id }) =>
      String((await wire.member.call('GET', `/api/v1/app-instances/${id}/logs?task_id=${task_id}`)).body),
    ),
  );

  const begun = (events as { type: string; correlation_id: string }[]).map((event) => [
    event.type,
    event.correlation_id,
  ]);
  expect(begun.slice(0, 2)).toEqual([
    ['apps.instance.requested', 'the-launch'],
    ['apps.instance.deploying', 'the-launch'],
  ]);
  expect(begun).toContainEqual(['apps.instance.running', 'the-launch']);
  expect(begun).toContainEqual(['apps.instance.stopped', 'the-stop']);
  expect(new Set(begun.map(([, name]) => name))).toEqual(new Set(['the-launch', 'the-stop']));
  expect(tasks.map(({ type, trace_id }) => [type, trace_id]).toSorted()).toEqual([
    ['workload.oci_control', 'the-stop'],
    ['workload.oci_launch', 'the-launch'],
  ]);
  for (const [index, { trace_id }] of tasks.entries()) {
    expect(logs[index]).toContain('task begins');
    expect(logs[index]).toContain(trace_id);
    expect(wire.logs()).toMatch(new RegExp(`"trace_id":"${trace_id}".*task taken`));
  }
  const names = (entries as { correlation_id: string }[]).map((entry) => entry.correlation_id);
  expect(names).toEqual(expect.arrayContaining(['the-launch', 'the-stop']));
});

describe('a control plane that is told to stop', () => {
  it('takes nothing new, ends streams in order, and lets a request at work end with its answer', async () => {
    const { id } = await wire.launch();
    await wire.reaches(id, 'running');
    const events = await open('/api/v1/events');
    const logs = await open(`/api/v1/app-instances/${id}/logs?follow=true`);
    await until(() => logs.text().includes('line'), 'the first lines of the log');
    const digest = `sha256:${'a'.repeat(64)}`;
    const { body: artifact } = await wire.admin.call('POST', '/api/v1/artifacts', {
      ...{ name: 'slow', repository: `${slowHost}/slow/image`, digest },
      media_type: 'application/vnd.oci.image.manifest.v1+json',
    });
    const atWork = wire.admin.call('POST', `/api/v1/artifacts/${artifact.id}/verify`);
    await until(() => asked.length === 1, 'the request to be at work');

    const stopped = wire.server.stop('SIGTERM');
    await Promise.all([events.ended, logs.ended]);
    const late = await fetch(`${wire.url}/healthz`).then(
      ({ status }) => status,
      () => 'refused',
    );
    asked[0]?.writeHead(404).end();
    const answer = await atWork;
    await stopped;

    expect(events.text()).toContain(': connected');
    expect(['refused', 502, 503]).toContain(late);
    expect(answer).toMatchObject({ status: 200, body: { id: artifact.id, trust: 'failed' } });
    expect(wire.logs()).not.toContain('they are cut off');

    await wire.server.start();
    const again = (await wire.admin.call('GET', `/api/v1/artifacts/${artifact.id}`)).body;
    expect(again.trust).toBe('failed');
    await until(async () => (await wire.instance(id)).state === 'running', 'the instance to be known again');
  });
});

describe('a backup', () => {
  it('made under load brings nodes and instances back after a kill, and streams begin anew', async () => {
    const folder = join(wire.folder, 'server');
    const file = join(wire.folder, 'backup.db');
    const store = async (...args: string[]) => {
      const { code, stdout } = await wire.admin.cli('store', ...args, '--data-dir', folder, '--json').ended;
      return { code, said: JSON.parse(stdout) };
    };
    const { id } = await wire.launch();
    await wire.reaches(id, 'running');
    let made = 0;
    let isLoaded = true;
    const load = (async () => {
      for (; isLoaded; made += 1) await wire.admin.call('POST', '/api/v1/projects', { name: `load-${made}` });
    })();
    await until(() => made > 5, 'some load');

    const backup = await store('backup', file);
    const before = made;
    await until(() => made > before + 20, 'more of it since');
    isLoaded = false;
    await load;
    const seen = (await wire.admin.call('GET', '/api/v1/projects?limit=500')).body.items.length;
    const running = await store('restore', file);
    await wire.server.stop('SIGKILL');
    const checked = await store('check');
    const restored = await store('restore', file);
    await wire.server.start();

    expect([backup.code, running.code, checked.code, restored.code]).toEqual([0, 2, 0, 0]);
    expect(running.said.failure.code).toBe('server.running');
    expect(checked.said.last_event).toBeGreaterThan(backup.said.last_event);
    expect(restored.said).toMatchObject({ has_keys: true, holds: backup.said.holds });
    expect(existsSync(restored.said.set_aside)).toBe(true);
    const projects = (await wire.admin.call('GET', '/api/v1/projects?limit=500')).body.items.length;
    expect(projects).toBe(backup.said.holds.projects);
    expect(projects).toBeLessThan(seen);

    const stream = await open('/api/v1/events', { 'last-event-id': String(checked.said.last_event) });
    await until(() => stream.text().includes('event: reset'), 'the stream to begin anew');
    const node = async () => (await wire.admin.call('GET', `/api/v1/nodes/${wire.nodeId}`)).body;
    // Its sessions count on from where the lost store was.
    await until(async () => (await node()).connected || (await node()).status === 'quarantined', 'the node to be back');
    if ((await node()).status === 'quarantined') {
      expect((await wire.admin.cli('nodes', 'release', wire.nodeId).ended).code).toBe(0);
    }
    await until(async () => (await node()).connected, 'the node to be connected');
    await wire.reaches(id, 'running');
    const { id: next } = await wire.launch();
    await wire.reaches(next, 'running');
  });
});
