/**
 * A gate of a test's own on the real engine, with a recorder between the two that sees every byte for the engine.
 *
 * Clients here are raw: they write to the socket themselves, because a library would refuse to write what an attacker
 * does.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { chownSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { type Agent, request } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { claim } from '../../bootstrap/dev/claims.ts';
import { ensureGround } from '../../bootstrap/dev/ground.ts';
import { ensureImage } from '../../bootstrap/dev/images.ts';
import { labels } from '../../src/contract/names.ts';
import { type Gate, startGate } from '../../src/gate/gate.ts';
import { createLog } from '../../src/kit/log.ts';
import type { HostPolicy } from '../../src/policy/host-policy.ts';
import { removeEverything } from '../support/test-host.ts';

export interface GateGround {
  readonly folder: string;
  readonly policy: HostPolicy;
  readonly engineSocket: string;
  readonly recorder: Recorder;
  readonly gate: Gate;
  readonly log: string[];
  readonly images: { readonly tiny: string; readonly hostile: string };
  restartGate(): Promise<void>;
  /** A create request of the given instance that the policy has nothing against: it sleeps. */
  containerRequest(instance: string, over?: RequestChanges): Record<string, unknown>;
  networkRequest(instance: string): Record<string, unknown>;
  /** Creates network and container of a new instance through the gate, and answers with the instance. */
  makeInstance(over?: RequestChanges): Promise<string>;
  close(): Promise<void>;
}

export interface RequestChanges {
  readonly top?: Record<string, unknown>;
  readonly host?: Record<string, unknown>;
  readonly labels?: Record<string, string>;
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: a test reads answers of any shape
  readonly json: any;
}

/** `engineSocket`: an engine of the test's own, which then has the images as well. */
export async function openGateGround(over: Partial<HostPolicy> = {}, engineSocket?: string): Promise<GateGround> {
  const { registry, images, ...shared } = await ensureGround(['tiny', 'hostile']);
  const engine = { socketPath: engineSocket ?? shared.engine.socketPath };
  if (engineSocket !== undefined) {
    const place = { socketPath: engineSocket, host: registry.host };
    await Promise.all([ensureImage(place, 'tiny'), ensureImage(place, 'hostile')]);
  }
  const folder = mkdtempSync(join(tmpdir(), 'gate-'));
  const policy = policyOf(folder, registry.host, over);
  const recorder = await startRecorder(join(folder, 'engine.sock'), engine.socketPath);
  const log: string[] = [];
  const options = {
    ...{ socketPath: join(folder, 'gate.sock'), engineSocket: recorder.socketPath, stateDir: join(folder, 'state') },
    ...{ policy, log: createLog({ level: 'debug', destination: { write: (line) => void log.push(line) } }) },
  };
  let gate = await startGate(options);

  const ground: GateGround = {
    ...{ folder, policy, engineSocket: engine.socketPath, recorder, log },
    images: { tiny: images.tiny.reference, hostile: images.hostile.reference },
    get gate() {
      return gate;
    },
    restartGate: async () => {
      await gate.close();
      gate = await startGate(options);
    },
    containerRequest: (instance, changes) => containerRequest(instance, policy, images.tiny.reference, changes),
    networkRequest: (instance) => ({
      Name: `gpuaas-${instance}`,
      Driver: 'bridge',
      Labels: identity(instance, policy),
    }),
    makeInstance: async (changes) => {
      const instance = newInstance();
      expectStatus(201, await call(gate, 'POST', '/networks/create', ground.networkRequest(instance)));
      const body = ground.containerRequest(instance, changes);
      expectStatus(201, await call(gate, 'POST', `/containers/create?name=gpuaas-${instance}`, body));
      return instance;
    },
    close: async () => {
      await gate.close();
      await removeEverything(engine.socketPath, policy.allocation.id);
      await recorder.close();
      rmSync(policy.secrets_dir, { recursive: true, force: true });
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return ground;
}

/** The first three numbers of addresses that no other test uses, in whatever process: `10.230.7`. */
export async function ownRange(): Promise<string> {
  for (;;) {
    const range = `10.${randomInt(230, 240)}.${randomInt(256)}`;
    if (await claim(`range/${range}`)) return range;
  }
}

export function newInstance(): string {
  return `gate-${randomBytes(5).toString('hex')}`;
}

/** One proper call through the gate, on a connection of its own unless an agent is given. */
export async function call(
  { socketPath }: { socketPath: string },
  method: string,
  path: string,
  body?: unknown,
  { agent, headers = {} }: { agent?: Agent; headers?: Record<string, string> } = {},
): Promise<RawAnswer> {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const sent = request({
    ...{ socketPath, method, path, agent: agent ?? false },
    headers: {
      ...(text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
      ...headers,
    },
  });
  sent.setTimeout(60_000, () => sent.destroy(new Error(`no answer to ${method} ${path}`)));
  sent.end(text);
  const [response] = await once(sent, 'response');
  let received = '';
  response.setEncoding('utf8');
  for await (const chunk of response) received += chunk;
  return { status: response.statusCode, headers: response.headers, text: received, json: parseOrNull(received) };
}

/** Writes these bytes and gives everything that comes back until the gate closes the connection; leaves after `ms`. */
export async function exchange(
  { socketPath }: { socketPath: string },
  bytes: string | Buffer,
  ms = 60_000,
): Promise<string> {
  const socket = connect(socketPath);
  let received = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    received += chunk;
  });
  // The gate may close before it has read all; what it answered counts.
  socket.on('error', () => socket.destroy());
  socket.write(bytes);
  const timer = setTimeout(() => socket.destroy(), ms);
  await new Promise((resolve) => socket.once('close', resolve));
  clearTimeout(timer);
  return received;
}

/** Status of each answer in what came back. */
export function statusesIn(received: string): number[] {
  return [...received.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
}

export interface Recorder {
  readonly socketPath: string;
  /** Request lines that reached the engine, in order. */
  requests(): string[];
  /** Everything that reached the engine, as text. */
  text(): string;
  forget(): void;
  /** Connections to the engine that are open now. */
  open(): number;
  /** From now on new and open connections are cut, until called with false. */
  cut(isCut: boolean): void;
  /** Calls `act` once, right before the first request that matches reaches the engine. */
  before(request: RegExp, act: () => void): void;
  /** Calls `act` once, right before the first answer to a request that matches reaches the gate. */
  beforeAnswer(request: RegExp, act: () => void): void;
  /** Holds back what the engine answers, until called with false. */
  hold(isHeld: boolean): void;
  close(): Promise<void>;
}

interface Watch {
  readonly request: RegExp;
  readonly act: () => void;
}

async function startRecorder(socketPath: string, target: string): Promise<Recorder> {
  let seen = '';
  let isCut = false;
  let isHeld = false;
  const before: Watch[] = [];
  const answers: Watch[] = [];
  const open = new Map<Socket, Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    if (isCut) {
      socket.destroy();
      return;
    }
    const upstream = connect({ path: target, allowHalfOpen: true });
    open.set(socket, upstream);
    let last = '';
    socket.on('data', (chunk) => {
      last = chunk.toString('latin1');
      seen += last;
      fire(before, last);
      upstream.write(chunk);
    });
    upstream.on('data', (chunk) => {
      fire(answers, last);
      if (!socket.write(chunk)) upstream.pause();
    });
    socket.on('drain', () => isHeld || upstream.resume());
    // A held engine reads nothing, so the end of the gate's side is the end.
    socket.on('end', () => (isHeld ? socket.destroy() : upstream.end()));
    upstream.on('end', () => socket.end());
    if (isHeld) upstream.pause();
    for (const [one, other] of [
      [socket, upstream],
      [upstream, socket],
    ] as const) {
      one.on('error', () => other.destroy());
      one.on('close', () => {
        open.delete(socket);
        other.destroy();
      });
    }
  });
  server.listen(socketPath);
  await once(server, 'listening');

  return {
    socketPath,
    requests: () =>
      [...seen.matchAll(/^(?:GET|HEAD|POST|PUT|DELETE|PATCH) \S+(?= HTTP\/1\.1\r$)/gm)].map(([line]) => line),
    text: () => seen,
    forget: () => {
      seen = '';
    },
    open: () => open.size,
    cut: (value) => {
      isCut = value;
      if (isCut) for (const socket of open.keys()) socket.destroy();
    },
    before: (request, act) => void before.push({ request, act }),
    beforeAnswer: (request, act) => void answers.push({ request, act }),
    hold: (value) => {
      isHeld = value;
      for (const upstream of open.values()) isHeld ? upstream.pause() : upstream.resume();
    },
    close: async () => {
      for (const socket of open.keys()) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Runs and forgets every watch that the request matches. */
function fire(watches: Watch[], request: string): void {
  for (const watch of watches.filter((candidate) => candidate.request.test(request))) {
    watches.splice(watches.indexOf(watch), 1);
    watch.act();
  }
}

/** Waits until the condition holds; throws after a minute, which only tells what hangs. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 60_000;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`still not so: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function expectStatus(status: number, answer: RawAnswer): void {
  if (answer.status !== status) throw new Error(`answered ${answer.status}: ${answer.text}`);
}

function parseOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

function policyOf(folder: string, registry: string, over: Partial<HostPolicy>): HostPolicy {
  const id = randomBytes(5).toString('hex');
  const user = { uid: 61_931, gid: 61_931, home: join(folder, 'home') };
  mkdirSync(user.home, { mode: 0o755 });
  chownSync(user.home, user.uid, user.gid);
  return {
    node_id: 'test-node',
    allocation: { id: `gate-${id}`, ...user },
    registries: [{ host: registry, prefixes: ['gpuaas-dev'] }],
    ...{ local_images: [], project_storage: true, approved_engines: ['docker'], sandboxes: { runc: 'runc' } },
    network_pool: `10.229.${randomInt(16) * 16}.0/20`,
    reserves: { cpu_cores: 0, memory_gib: 0, disk_gib: 0 },
    limits: { pids: 512, open_files: 4096 },
    secrets_dir: `/dev/shm/gpuaas-gate-${id}`,
    inputs: { dir: join(folder, 'inputs'), max_gib: 1, max_age_hours: 1, allow: [], endpoints: {} },
    ...over,
  };
}

function identity(instance: string, { allocation }: HostPolicy): Record<string, string> {
  return { [labels.instance]: instance, [labels.project]: 'project-1', [labels.allocation]: allocation.id };
}

function containerRequest(instance: string, policy: HostPolicy, image: string, changes: RequestChanges = {}) {
  const { uid, gid, home } = policy.allocation;
  return {
    Image: image,
    User: `${uid}:${gid}`,
    Env: ['NVIDIA_VISIBLE_DEVICES=void'],
    Entrypoint: ['/bin/sh', '-c'],
    Cmd: ['trap "exit 0" TERM; echo ready; while :; do sleep 1; done'],
    Labels: {
      ...identity(instance, policy),
      ...{
        [labels.task]: 'task-1',
        [labels.spec]: 'a'.repeat(64),
        [labels.fencing]: '1',
        [labels.endpoints]: '',
        [labels.restart]: 'no:0',
        [labels.readiness]: '[]',
      },
      ...changes.labels,
    },
    ExposedPorts: {},
    HostConfig: {
      Mounts: [
        {
          ...{ Type: 'bind', Source: `${home}/gpuaas/workloads/${instance}/ws`, Target: '/workspace' },
          ...{ ReadOnly: false, BindOptions: { Propagation: 'rprivate' } },
        },
      ],
      PortBindings: {},
      NetworkMode: `gpuaas-${instance}`,
      ...{ NanoCpus: 200_000_000, Memory: 2 ** 26, MemorySwap: 2 ** 26, PidsLimit: 64, ShmSize: 2 ** 20 },
      Ulimits: [
        { Name: 'nofile', Soft: 1024, Hard: 1024 },
        { Name: 'core', Soft: 0, Hard: 0 },
      ],
      ...{ CapDrop: ['ALL'], SecurityOpt: ['no-new-privileges'], Init: true, Privileged: false },
      ...{ IpcMode: 'private', CgroupnsMode: 'private', Runtime: 'runc', RestartPolicy: { Name: 'no' } },
      LogConfig: { Type: 'json-file', Config: { 'max-size': '1m', 'max-file': '2' } },
      ...changes.host,
    },
    ...changes.top,
  };
}
