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
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setDefaultCACertificates } from 'node:tls';
import { ensureEngine } from '../../bootstrap/dev/engine.ts';
import { freePort } from '../../bootstrap/dev/free-port.ts';
import { ensureImage } from '../../bootstrap/dev/images.ts';
import { ensureRegistry } from '../../bootstrap/dev/registry.ts';
import type { AgentConfig } from '../../src/agent/config.ts';
import { containerName, labels } from '../../src/contract/names.ts';
import { type CuttingProxy, startCuttingProxy } from './cutting-proxy.ts';
import { until } from './daemon-ground.ts';
import { engineCall } from './engine-call.ts';
import type { RawContainer } from './looking.ts';
import { type RunningTask, startGpuaas } from './run-task-process.ts';
import { type ServeProcess, serveProcess } from './serve-process.ts';
import { addWebApp } from './wire-app.ts';
import { type HostOptions, openHost, type WireHost } from './wire-host.ts';

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

/** The control plane, people, and a first host. */
export interface Wire extends WireHost {
  readonly folder: string;
  readonly proxy: CuttingProxy;
  readonly url: string;
  readonly admin: Person;
  /** Member of the project that has the allocation. */
  readonly member: Person;
  /** Member of a project that has nothing. */
  readonly stranger: Person;
  readonly projectId: string;
  readonly server: Restartable;
  /** One more host, with an allocation of the same project, in a folder of this name. */
  addHost(name: string): Promise<WireHost>;
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
  /** PEM files for a wire that is TLS from end to end: the certificate of the control plane, its key, and the CA. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca: string };
  /** What the configuration of agents and gates says otherwise. */
  readonly agentConfig?: Partial<AgentConfig>;
  /** What these processes have in their environment besides ours. */
  readonly environment?: { readonly server?: NodeJS.ProcessEnv; readonly agent?: NodeJS.ProcessEnv };
  /** Further arguments of `gpuaas serve`. */
  readonly serve?: readonly string[];
  /** An engine of the test's own, in place of the one that all share. */
  readonly engineSocket?: string;
  /** Leaves `web` out of the catalog. */
  readonly withoutApp?: boolean;
  /** Name of the project that has the allocation; `first` by default. */
  readonly project?: string;
  /** What the allocation of each host says otherwise. */
  readonly allocation?: HostOptions['allocation'];
  /** Nothing is between the control plane and those who call it: for what is measured. `proxy` does nothing then. */
  readonly withoutProxy?: boolean;
}

export async function openWire(options: WireOptions = {}): Promise<Wire> {
  const { program, before, tls, agentConfig = {}, environment = {}, serve = [], allocation = {} } = options;
  await using undo = new AsyncDisposableStack();
  const engineSocket = options.engineSocket ?? (await ensureEngine()).socketPath;
  const { host: registryHost } = await ensureRegistry();
  const { reference } = await ensureImage({ socketPath: engineSocket, host: registryHost }, 'web');
  const folder = mkdtempSync(join(tmpdir(), 'gpuaas-wire-'));
  undo.defer(() => rmSync(folder, { recursive: true, force: true }));
  const proxy = await startCuttingProxy(0);
  undo.defer(() => proxy.close());
  const address = `127.0.0.1:${options.withoutProxy === true ? await freePort() : proxy.port}`;
  const url = `${tls ? 'https' : 'http'}://${address}`;
  const logs: (() => string)[] = [];

  const args = [
    ...['--public-url', url, '--registry', registryHost, ...(tls ? tlsOptions(tls) : []), ...serve],
    ...(options.withoutProxy === true ? ['--listen', address] : []),
  ];
  const server = serverOf(folder, proxy, args, { ...enabled, ...environment.server }, logs);
  undo.defer(() => server.stop('SIGKILL'));
  const adminToken = await server.init();
  const ca = tls?.ca;
  // For what the test itself calls.
  if (ca !== undefined) setDefaultCACertificates([readFileSync(ca, 'utf8')]);
  const commands = undo.use(new AsyncDisposableStack());
  const admin = personOf(url, adminToken, ca, commands);
  const made = async (method: string, path: string, body?: unknown) => ok(await admin.call(method, path, body));
  if (options.withoutApp !== true) await addWebApp(made, reference);
  const member = await memberOf(admin, options.project ?? 'first', (token) => personOf(url, token, ca, commands));
  const stranger = await memberOf(admin, 'second', (token) => personOf(url, token, ca, commands));

  const gateway = (await before?.(engineSocket, folder)) ?? engineSocket;
  const addHost = async (name: string) => {
    const own = join(folder, name);
    mkdirSync(own, { recursive: true });
    return await openHost({
      ...{ folder: own, url, ca, projectId: member.projectId, engineSocket, gateway, registryHost },
      ...{ program, logs, made, undo: hosts, agentConfig, allocation, environment: environment.agent ?? {} },
    });
  };
  const hosts = undo.use(new AsyncDisposableStack());
  const host = await addHost('');
  const { allocationId } = host;

  const request = async (config: Readonly<Record<string, unknown>> = {}) => ({
    ...{ app_slug: 'web', app_version: '1.0', display_name: 'A page' },
    placement_intent: { target_allocation_id: allocationId },
    config: { host_port: await freePort(), ...config },
  });
  const instance = async (id: string) => ok(await member.call('GET', `/api/v1/app-instances/${id}`));
  const all = undo.move();
  return {
    ...{ folder, proxy, url, admin, member, stranger, projectId: member.projectId, ...host, addHost },
    ...{ server, request, instance, logs: () => logs.map((log) => log()).join('') },
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

/** `gpuaas serve` behind the proxy, as often as it is started. */
export function serverOf(
  folder: string,
  proxy: CuttingProxy,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  logs: (() => string)[],
) {
  let running: ServeProcess | undefined;
  const start = async (...more: readonly string[]) => {
    const started = await serveProcess(join(folder, 'server'), [...more, ...args], env);
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

const tlsOptions = ({ cert, key, ca }: NonNullable<WireOptions['tls']>) => [
  ...['--tls-cert', cert, '--tls-key', key, '--ca', ca],
];

/**
 * `ca` is the PEM file of the only CA that the person's commands believe; calls go by what the test's process believes.
 * Commands that are still at work end with `undo`.
 */
export function personOf(url: string, token: string, ca?: string, undo?: AsyncDisposableStack): Person {
  const env = { GPUAAS_URL: url, GPUAAS_TOKEN: token, ...(ca ? { GPUAAS_CA: ca } : {}) };
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
    cli: (...args) => {
      const command = startGpuaas(args, env);
      undo?.defer(() => void command.child.kill('SIGKILL'));
      return command;
    },
  };
}

async function memberOf(admin: Person, name: string, personWith: (token: string) => Person) {
  const project = ok(await admin.call('POST', '/api/v1/projects', { name }));
  const body = { name: `${name} member`, role: 'member', project_id: project.id };
  const { token } = ok(await admin.call('POST', '/api/v1/tokens', body));
  return { ...personWith(token), projectId: project.id as string };
}

/** The body of an answer that must be good. */
export function ok({ status, body }: Answer): Answer['body'] {
  if (status >= 300) throw new Error(`${status}: ${JSON.stringify(body)}`);
  return body;
}
