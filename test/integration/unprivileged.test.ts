/** The agent without privileges: only the gate is root, and whoever has the agent has no more than the gate lets through. */
import { chmodSync, chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { engineCall } from '../support/engine-call.ts';
import { containerOf, inspectRaw } from '../support/looking.ts';
import { type RunningTask, startNodeAgent } from '../support/run-task-process.ts';
import { openTestHost, readyAtOnce, type TestHost } from '../support/test-host.ts';

const agent = { uid: 61_950, gid: 61_950 };
let host: TestHost;
let gate: RunningTask;
let configFile: string;
let socket: string;

beforeAll(async () => {
  host = await openTestHost();
  const run = join(host.folder, 'gate-run');
  const own = join(host.folder, 'agent');
  mkdirSync(run, { mode: 0o755 });
  mkdirSync(own, { mode: 0o700 });
  chmodSync(host.folder, 0o755);
  chownSync(own, agent.uid, agent.gid);
  socket = join(run, 'gate.sock');
  configFile = join(host.folder, 'split.json');
  const config = JSON.parse(readFileSync(host.configFile, 'utf8'));
  const split = {
    ...config,
    gate: { ...config.gate, socket, socket_gid: agent.gid },
    ...{ state_dir: join(own, 'state'), run_dir: join(own, 'run') },
  };
  writeFileSync(configFile, JSON.stringify(split), { mode: 0o644 });
  gate = startNodeAgent(['gate', '--config', configFile]);
  await gate.saw('gate listens');
});
afterAll(async () => {
  gate.child.kill('SIGTERM');
  await gate.ended;
  await host.close();
});

it('launches and removes as an ordinary user, through the gate', async () => {
  const image = await host.image('tiny');
  const params = host.launchParams(image, {
    mounts: [{ name: 'workspace', path: '/workspace', mode: 'scratch', read_only: false }],
    readiness: readyAtOnce,
  });

  const launched = await runTask({ type: 'workload.oci_launch', params });
  const status = (await inspectRaw(host, containerOf(params))).State.Status;
  const removed = await runTask({
    type: 'workload.oci_remove',
    params: { identity: params.identity, keep_data: false, grace_seconds: 0 },
  });

  expect([launched.status, status, removed.status]).toEqual(['succeeded', 'running', 'succeeded']);
});

it('cannot reach the engine past the gate', async () => {
  const probe = `require('node:net').connect(${JSON.stringify(host.engineSocket)}).once('connect', () => process.exit(0)).once('error', (e) => { console.log(e.code); process.exit(1) })`;
  const { execFile } = await import('node:child_process');
  const { promise, resolve } = Promise.withResolvers<string>();
  execFile(process.execPath, ['-e', probe], agent, (_error, stdout) => resolve(stdout.trim()));

  expect(await promise).toBe('EACCES');
  expect((await engineCall(host.engineSocket, 'GET', '/_ping')).status).toBe(200);
});

it('tells a user whom the gate does not let in so at once, and starts no gate of its own', async () => {
  const stranger = { uid: agent.uid + 1, gid: agent.gid + 1 };
  const own = join(host.folder, 'stranger');
  mkdirSync(own, { mode: 0o700 });
  chownSync(own, stranger.uid, stranger.gid);
  const file = join(host.folder, 'stranger.json');
  const config = JSON.parse(readFileSync(configFile, 'utf8'));
  const theirs = { ...config, state_dir: join(own, 'state'), run_dir: join(own, 'run') };
  writeFileSync(file, JSON.stringify(theirs), { mode: 0o644 });
  const task = join(host.folder, 'removal.json');
  const { identity } = host.launchParams(await host.image('tiny'));
  const params = { identity, keep_data: false, grace_seconds: 0 };
  writeFileSync(task, JSON.stringify({ type: 'workload.oci_remove', params }), { mode: 0o644 });

  const { result, stderr } = await startNodeAgent(['run-task', task, '--config', file], stranger).ended;

  const failure = { code: 'engine.unavailable', detail: { state: 'no_permission', socket } };
  expect(result).toMatchObject({ status: 'failed', failure });
  expect(stderr).not.toContain('waiting');
  expect(stderr).toContain('This user may not use the socket of the gate.');
});

async function runTask(task: unknown): Promise<{ status: string | undefined; stderr: string }> {
  const file = join(host.folder, `task-${crypto.randomUUID()}.json`);
  writeFileSync(file, JSON.stringify(task), { mode: 0o644 });
  const { result, stderr } = await startNodeAgent(['run-task', file, '--config', configFile], agent).ended;
  return { status: result?.status ?? stderr, stderr };
}
