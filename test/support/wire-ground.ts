/**
 * The whole wire as real processes, in a temporary folder and on free ports:
 *
 *   gpuaas (the CLI), HTTP ──▶ cutting proxy ──▶ gpuaas serve
 *                                    ▲
 *   node-agent run ──────────────────┘
 *        └──▶ node-agent gate ──▶ container engine
 *
 * Everything of it is made through the public API. `close` takes all of it away, whatever the test did.
 */
import { randomBytes } from 'node:crypto';
import { chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureEngine } from '../../bootstrap/dev/engine.ts';
import { freePort } from '../../bootstrap/dev/free-port.ts';
import { ensureImage } from '../../bootstrap/dev/images.ts';
import { ensureRegistry } from '../../bootstrap/dev/registry.ts';
import { containerName, labels } from '../../src/contract/names.ts';
import { type CuttingProxy, startCuttingProxy } from './cutting-proxy.ts';
import { until } from './daemon-ground.ts';
import { engineCall } from './engine-call.ts';
import type { RawContainer } from './looking.ts';
import { type RunningTask, startGpuaas, startNodeAgent } from './run-task-process.ts';
import { type ServeProcess, serveProcess } from './serve-process.ts';
import { removeEverything } from './test-host.ts';
import { addWebApp } from './wire-app.ts';

export interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of every shape.
  readonly body: any;
}

/** Somebody with a token. */
export interface Person {
  readonly token: string;
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  cli(...args: readonly string[]): RunningTask;
}

export interface Wire {
  readonly folder: string;
  readonly proxy: CuttingProxy;
  readonly url: string;
  readonly admin: Person;
  /** Member of the project that has the allocation. */
  readonly member: Person;
  /** Member of a project that has nothing. */
  readonly stranger: Person;
  readonly projectId: string;
  readonly allocationId: string;
  readonly nodeId: string;
  readonly joinToken: string;
  readonly configFile: string;
  readonly server: Restartable;
  readonly agent: Restartable;
  readonly gate: Restartable;
  /** What the processes have written to stderr so far, those that have ended included. */
  logs(): string;
  /** A request for the app `web` at a free port, changed by `config`. */
  request(config?: Readonly<Record<string, unknown>>): Promise<Record<string, unknown>>;
  /** Launches `web` and resolves with the answer: its id, its credentials. */
  launch(config?: Readonly<Record<string, unknown>>): Promise<Answer['body']>;
  instance(id: string): Promise<Answer['body']>;
  /** Resolves with the instance when it is in one of these states. */
  reaches(id: string, ...states: readonly string[]): Promise<Answer['body']>;
  /** Containers of the instance on the engine, stopped ones included. */
  containers(id: string): Promise<readonly { readonly Id: string; readonly State: string }[]>;
  inspect(id: string): Promise<RawContainer>;
  close(): Promise<void>;
}

export interface Restartable {
  readonly pid: number;
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again and waits until it is at work. */
  start(): Promise<void>;
}

const enabled = { APP_RUNTIME_LAUNCHABLE_OCI_NODE_TASKS_ENABLED: 'true' };

export interface WireOptions {
  /** What runs as the agent and the gate, if not the sources: a bundle. */
  readonly program?: string;
  /** Puts something between gate and engine, in the folder; returns the socket that the gate shall use. */
  readonly before?: (engineSocket: string, folder: string) => Promise<string>;
}

export async function openWire({ program, before }: WireOptions = {}): Promise<Wire> {
  await using undo = new AsyncDisposableStack();
  const [{ socketPath: engineSocket }, { host: registryHost }] = [await ensureEngine(), await ensureRegistry()];
  const { reference } = await ensureImage({ socketPath: engineSocket, host: registryHost }, 'web');
  const folder = mkdtempSync(join(tmpdir(), 'gpuaas-wire-'));
  undo.defer(() => rmSync(folder, { recursive: true, force: true }));
  const proxy = await startCuttingProxy(0);
  undo.defer(() => proxy.close());
  const url = `http://127.0.0.1:${proxy.port}`;
  const logs: (() => string)[] = [];

  const server = serverOf(folder, proxy, ['--public-url', url, '--registry', registryHost], logs);
  undo.defer(() => server.stop('SIGKILL'));
  const adminToken = await server.init();
  const admin = personOf(url, adminToken);
  const made = async (method: string, path: string, body?: unknown) => ok(await admin.call(method, path, body));
  await addWebApp(made, reference);
  const member = await memberOf(admin, url, 'first');
  const stranger = await memberOf(admin, url, 'second');
  const shape = { gpu_count: 0, cpu_cores: 400, memory_gib: 400 };
  const ssh = { user: 'tenant', host: 'gpu.example.com', port: 22 };
  const allocation = await made('POST', '/api/v1/allocations', {
    ...{ project_id: member.projectId, name: 'a host', shape, ssh, data_policy: 'wipe' },
  });
  const allocationId = allocation.id as string;
  undo.defer(() => removeEverything(engineSocket, allocationId));

  const secrets = `/dev/shm/gpuaas-wire-${randomBytes(5).toString('hex')}`;
  undo.defer(() => rmSync(secrets, { recursive: true, force: true }));
  const gateway = (await before?.(engineSocket, folder)) ?? engineSocket;
  const configFile = writeConfig(folder, { allocationId, engineSocket: gateway, registryHost, secrets });
  const { token: joinToken } = await made('POST', '/api/v1/nodes/join-tokens', { allocation_id: allocationId });
  const nodeId = await enrol(folder, url, configFile, joinToken as string);
  const gateSocket = join(folder, 'gate/gate.sock');
  const gate = daemonOf(folder, ['gate', '--config', configFile], {
    ...{ program, logs, isReady: () => existsSync(gateSocket) },
  });
  undo.defer(() => gate.stop('SIGKILL'));
  await gate.start();
  const isConnected = async () => (await admin.call('GET', `/api/v1/nodes/${nodeId}`)).body?.connected === true;
  const agent = daemonOf(folder, ['run', '--config', configFile], { program, logs, isReady: isConnected });
  undo.defer(() => agent.stop('SIGKILL'));
  await agent.start();

  const request = async (config: Readonly<Record<string, unknown>> = {}) => ({
    ...{ app_slug: 'web', app_version: '1.0', display_name: 'A page' },
    placement_intent: { target_allocation_id: allocationId },
    config: { host_port: await freePort(), ...config },
  });
  const instance = async (id: string) => ok(await member.call('GET', `/api/v1/app-instances/${id}`));
  const all = undo.move();
  return {
    ...{ folder, proxy, url, admin, member, stranger, projectId: member.projectId, allocationId, nodeId, joinToken },
    ...{ configFile, server, agent, gate, request, instance, logs: () => logs.map((log) => log()).join('') },
    launch: async (config) => ok(await member.call('POST', '/api/v1/app-instances', await request(config))),
    reaches: async (id, ...states) => {
      let last: Answer | undefined;
      await until(
        async () => {
          // The control plane may be away for now.
          last = await member.call('GET', `/api/v1/app-instances/${id}`).catch(() => undefined);
          return states.includes(last?.body.state);
        },
        `${id} to be ${states.join(' or ')}`,
        90,
      ).catch((error: Error) => {
        throw new Error(`${error.message}; it is ${last?.body.state}: ${JSON.stringify(last?.body.failure)}`);
      });
      return last?.body;
    },
    containers: async (id) => {
      const filters = encodeURIComponent(JSON.stringify({ label: [`${labels.instance}=${id}`] }));
      const path = `/containers/json?all=1&filters=${filters}`;
      return (await engineCall<{ Id: string; State: string }[]>(engineSocket, 'GET', path)).body;
    },
    inspect: async (id) =>
      (await engineCall<RawContainer>(engineSocket, 'GET', `/containers/${containerName(id)}/json`)).body,
    close: () => all.disposeAsync(),
  };
}

function serverOf(folder: string, proxy: CuttingProxy, args: readonly string[], logs: (() => string)[]) {
  let running: ServeProcess | undefined;
  const start = async (...more: readonly string[]) => {
    const started = await serveProcess(join(folder, 'server'), [...more, ...args], enabled);
    if (started.url === undefined) throw new Error(`serve ended: ${JSON.stringify(started.lines)} ${started.stderr()}`);
    logs.push(started.stderr);
    running = started;
    proxy.target = Number(new URL(started.url).port);
    return started;
  };
  return {
    get pid() {
      return running?.process.pid ?? 0;
    },
    init: async () => (await start('--init')).adminToken ?? '',
    start: async () => void (await start()),
    stop: async (signal: NodeJS.Signals = 'SIGTERM') => void (await running?.stop(signal)),
  };
}

interface DaemonOptions {
  readonly program: string | undefined;
  readonly logs: (() => string)[];
  readonly isReady: () => boolean | Promise<boolean>;
}

function daemonOf(folder: string, args: readonly string[], { program, logs, isReady }: DaemonOptions) {
  let running: RunningTask | undefined;
  let ended: Promise<unknown> | undefined;
  return {
    get pid() {
      return running?.child.pid ?? 0;
    },
    start: async () => {
      // What it leaves behind when it is killed goes with the folder.
      const env = { ...process.env, TMPDIR: folder };
      const started = startNodeAgent(args, { env, ...(program === undefined ? {} : { program }) });
      let stderr = '';
      started.child.stderr?.on('data', (text: string) => {
        stderr += text;
      });
      logs.push(() => stderr);
      running = started;
      ended = started.ended;
      await until(isReady, `${args[0]} to be at work`).catch((error: Error) => {
        throw new Error(`${error.message}: ${stderr}`);
      });
    },
    stop: async (signal: NodeJS.Signals = 'SIGTERM') => {
      running?.child.kill(signal);
      await ended;
    },
  } satisfies Restartable;
}

export function personOf(url: string, token: string): Person {
  return {
    token,
    call: async (method, path, body, headers = {}) => {
      const response = await fetch(`${url}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      const isJson = response.headers.get('content-type')?.includes('json') === true;
      return { status: response.status, body: isJson ? JSON.parse(text) : text };
    },
    cli: (...args) => startGpuaas(args, url, token),
  };
}

async function memberOf(admin: Person, url: string, name: string): Promise<Person & { readonly projectId: string }> {
  const project = ok(await admin.call('POST', '/api/v1/projects', { name }));
  const body = { name: `${name} member`, role: 'member', project_id: project.id };
  const { token } = ok(await admin.call('POST', '/api/v1/tokens', body));
  return { ...personOf(url, token), projectId: project.id };
}

async function enrol(folder: string, url: string, configFile: string, token: string): Promise<string> {
  const file = join(folder, 'join-token');
  writeFileSync(file, token, { mode: 0o600 });
  const args = ['enroll', '--url', url, '--token-file', file, '--config', configFile, '--json'];
  const { code, stdout, stderr } = await startNodeAgent(args).ended;
  if (code !== 0) throw new Error(`enrolment ended with ${code}: ${stdout}${stderr}`);
  return (JSON.parse(readFileSync(join(folder, 'state/identity/node.json'), 'utf8')) as { node_id: string }).node_id;
}

interface HostConfig {
  readonly allocationId: string;
  readonly engineSocket: string;
  readonly registryHost: string;
  readonly secrets: string;
}

function writeConfig(folder: string, { allocationId, engineSocket, registryHost, secrets }: HostConfig): string {
  const user = { uid: 61_902, gid: 61_902, home: join(folder, 'home') };
  mkdirSync(user.home, { mode: 0o755 });
  chownSync(user.home, user.uid, user.gid);
  // Temporary folders are closed to others by default, but the workload's user must get to its home.
  chownSync(folder, user.uid, user.gid);
  const file = join(folder, 'agent.json');
  const config = {
    ...{ state_dir: join(folder, 'state'), run_dir: join(folder, 'run') },
    allocation: { id: allocationId, user },
    gate: {
      ...{ socket: join(folder, 'gate/gate.sock'), state_dir: join(folder, 'gate') },
      engine_socket: engineSocket,
    },
    registries: [{ host: registryHost, prefixes: ['gpuaas-dev'] }],
    ...{ secrets_dir: secrets, telemetry: { port: 0 } },
    reserves: { cpu_cores: 0, memory_gib: 0.5, disk_gib: 0.5 },
  };
  writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
  return file;
}

/** The body of an answer that must be good. */
export function ok({ status, body }: Answer): Answer['body'] {
  if (status >= 300) throw new Error(`${status}: ${JSON.stringify(body)}`);
  return body;
}
