/**
 * A control plane that signs whatever it likes: each forbidden thing of a Compose document in a task of its own, over the
 * wire to a real agent. Refused with its path, and the engine is asked to make, pull or start nothing.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ensureEngine } from '../../bootstrap/dev/engine.ts';
import { containerName } from '../../src/contract/names.ts';
import { type DaemonGround, openConnectedGround } from '../support/daemon-ground.ts';
import { type EngineFront, startEngineFront } from '../support/engine-front.ts';
import { inspectRaw } from '../support/looking.ts';
import type { RunningTask } from '../support/run-task-process.ts';
import { aStack, type StackParams, sleepingService } from '../support/stacks.ts';

let folder: string;
let front: EngineFront;
let ground: DaemonGround;
let daemon: RunningTask;
let tiny: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gphs-'));
  front = await startEngineFront(join(folder, 'engine.sock'), (await ensureEngine()).socketPath);
  ({ ground, daemon, tiny } = await openConnectedGround({ engineSocket: front.socketPath }));
});
afterAll(async () => {
  await ground?.close();
  await front?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Requests that make, change or fetch something; an agent at rest asks for lists and events alone. */
const doings = () => front.reached.filter((line) => !line.startsWith('GET '));
let before: number;
beforeEach(() => {
  before = doings().length;
});
afterEach(({ task }) => {
  if (task.name !== control) expect(doings().slice(before)).toEqual([]);
});
const control = 'a stack that is fine runs, so that what follows is refused for what was put into it';

type Tree = Record<string, unknown>;

function fine(): StackParams {
  return aStack(ground.host.policy.allocation.id, { web: sleepingService(tiny), job: sleepingService(tiny) });
}

/** A stack with something put into it, at a pointer of its params. */
function withThe(pointer: string, value: unknown, stack = fine()): StackParams {
  const params = JSON.parse(JSON.stringify(stack)) as Tree;
  const keys = pointer.split('/').slice(1);
  let place = params;
  for (const key of keys.slice(0, -1)) {
    place[key] ??= {};
    place = place[key] as Tree;
  }
  // As JSON.parse does it: a name that means something to objects becomes one of their own.
  Object.defineProperty(place, keys.at(-1) ?? '', { value, enumerable: true, configurable: true, writable: true });
  return params as unknown as StackParams;
}

async function refusalOf(params: StackParams) {
  const { status, failure } = await ground.run('workload.compose_launch', params);
  expect(status).not.toBe('succeeded');
  return failure;
}

const web = '/document/services/web';
const port = {
  ...{ name: 'api', target: 80, published: 18_080, host_ip: '127.0.0.1', protocol: 'tcp', app_protocol: 'http' },
  mode: 'host',
};
const mount = { type: 'volume', source: 'data', target: '/data', read_only: false };
const volume = { 'x-gpuaas': { mode: 'scratch' } };
const gpus = (reservation: object) => ({ resources: { reservations: { devices: [reservation] } } });
const check = { test: ['CMD', 'true'], interval: '5s', timeout: '5s', retries: 3, start_period: '5s' };

it(control, async () => {
  // As a workload may do it: Compose that a killed agent has left behind is known by its name and its arguments.
  const document = join(ground.stateDir, 'stacks/x/compose.json');
  const stranger = spawn('sh', ['-c', 'while :; do sleep 0.1; done', document], {
    ...{ argv0: '/x/docker-compose', uid: 61_999, detached: true, stdio: 'ignore' },
  });
  daemon.child.kill('SIGKILL');
  await daemon.ended;
  ground.start();
  const params = fine();
  Object.assign(params.document.services['web'] ?? {}, { environment: texts });
  try {
    expect(await ground.run('workload.compose_launch', params)).toMatchObject({ status: 'succeeded' });

    expect([stranger.exitCode, stranger.signalCode]).toEqual([null, null]);
    const { Config } = await inspectRaw(ground.host, containerName(params.identity.app_instance_id, 'web'));
    for (const [name, text] of Object.entries(texts)) expect(Config.Env).toContain(`${name}=${text}`);
  } finally {
    stranger.kill('SIGKILL');
  }
  const { identity } = params;
  const remove = { identity, keep_data: false, grace_seconds: 0 };
  expect(await ground.run('workload.compose_remove', remove)).toMatchObject({ status: 'succeeded' });
});

const open = '$'.concat('{');
/** Texts that Compose or YAML have a use for. They mean themselves. */
const texts = {
  ...{
    VARIABLE: `$HOME $${open}HOME} ${open}HOME} $$ ${open}X:-y}`,
    SECRET: `${open}GPUAAS_SECRET_0}`,
    YAML: '!!python/object:x &a *a ~ | # x: y',
  },
  ...{
    CONTROL: '\u0007 \u001b[31m \u007f \u0085 \u009f \u2028 \ufeff \ufffe \uffff',
    LINES: 'a\nb\tc\r\n ',
    EMPTY: '',
  },
  ...{ NUMBER: '0o17', NOTHING: 'null', YES: 'yes', QUOTES: '"\'\\', LONG: 'x'.repeat(32_768), LETTERS: 'ж漢😀' },
};

describe('a key of Compose that gives power, in a service', () => {
  it.each([
    ['privileged', true],
    ['cap_add', ['SYS_ADMIN']],
    ['devices', ['/dev/sda:/dev/sda']],
    ['device_cgroup_rules', ['a *:* rwm']],
    ['network_mode', 'host'],
    ['network_mode', 'container:other'],
    ['networks', { other: {} }],
    ['pid', 'host'],
    ['ipc', 'host'],
    ['uts', 'host'],
    ['userns_mode', 'host'],
    ['cgroup', 'host'],
    ['cgroup_parent', '/'],
    ['security_opt', ['seccomp:unconfined']],
    ['sysctls', { 'kernel.core_pattern': '|/x' }],
    ['runtime', 'nvidia'],
    ['gpus', 'all'],
    ['group_add', ['0']],
    ['user', '0:0'],
    ['volumes_from', ['container:other']],
    ['tmpfs', ['/etc']],
    ['secrets', ['token']],
    ['configs', ['conf']],
    ['env_file', ['/etc/shadow']],
    ['extends', { file: '/etc/compose.yaml', service: 'x' }],
    ['build', { context: '/', network: 'host' }],
    ['develop', { watch: [] }],
    ['provider', { type: '/bin/sh' }],
    ['post_start', [{ command: ['sh'], user: 'root', privileged: true }]],
    ['pre_stop', [{ command: ['sh'], user: 'root' }]],
    ['container_name', 'gpuaas-other'],
    ['hostname', 'other'],
    ['extra_hosts', ['registry:10.0.0.1']],
    ['dns', ['10.0.0.1']],
    ['links', ['other']],
    ['external_links', ['other']],
    ['labels', { 'gpuaas.seal': 'x' }],
    ['annotations', { x: 'y' }],
    ['logging', { driver: 'syslog' }],
    ['restart', 'always'],
    ['pull_policy', 'build'],
    ['profiles', ['x']],
    ['scale', 100],
    ['init', false],
    ['read_only', false],
    ['stdin_open', true],
    ['oom_kill_disable', true],
    ['ulimits', { nofile: 1_000_000 }],
    ['pids_limit', -1],
    ['memswap_limit', -1],
    ['mac_address', '02:42:ac:11:00:02'],
    ['storage_opt', { size: '1T' }],
    ['credential_spec', { file: 'x' }],
    ['x-anything', {}],
    ['<<', { privileged: true }],
    ['__proto__', { privileged: true }],
  ])('%s is refused', async (key, value) => {
    const failure = await refusalOf(withThe(`${web}/${key}`, value));

    expect(failure).toMatchObject({ code: 'task.invalid' });
    expect(JSON.stringify(failure)).toContain(key === '__proto__' ? key : `${web}/`);
  });
});

describe('a key of Compose at the top of the document', () => {
  it.each([
    ['name', 'gpuaas-other'],
    ['networks', { default: { driver: 'host' } }],
    ['secrets', { token: { file: '/etc/shadow' } }],
    ['configs', { conf: { file: '/etc/shadow' } }],
    ['include', ['/etc/compose.yaml']],
    ['models', { m: { model: 'x' } }],
    ['version', '3'],
    ['x-anything', {}],
    ['<<', { services: {} }],
  ])('%s is refused', async (key, value) => {
    expect(await refusalOf(withThe(`/document/${key}`, value))).toMatchObject({ code: 'task.invalid' });
  });
});

describe('a value that gives power', () => {
  it.each([
    ['a folder of the host', `${web}/volumes`, [{ ...mount, type: 'bind', source: '/' }]],
    ["the engine's socket", `${web}/volumes`, [{ ...mount, type: 'bind', source: '/var/run/docker.sock' }]],
    ['a mount in few words', `${web}/volumes`, ['/:/host']],
    ['a folder that climbs', `${web}/volumes`, [{ ...mount, source: '../../etc' }]],
    ['options of a bind', `${web}/volumes`, [{ ...mount, bind: { propagation: 'rshared' } }]],
    [
      'a volume of a driver',
      '/document/volumes',
      { data: { driver: 'local', driver_opts: { o: 'bind', device: '/' } } },
    ],
    ['a volume of somebody else', '/document/volumes', { data: { external: true, name: 'other' } }],
    ['a volume in an unknown mode', '/document/volumes', { data: { 'x-gpuaas': { mode: 'host' } } }],
    ['a volume by a path', '/document/volumes', { '../etc': volume }],
    ['a port for everybody', `${web}/ports`, [{ ...port, host_ip: '0.0.0.0' }]],
    ['a port without an address', `${web}/ports`, ['8080:80']],
    ['a port of the system', `${web}/ports`, [{ ...port, published: 22 }]],
    ['a range of ports', `${web}/ports`, [{ ...port, published: '8000-9000' }]],
    ['a port of UDP', `${web}/ports`, [{ ...port, protocol: 'udp' }]],
    ['a card by its name', `${web}/deploy`, gpus({ capabilities: ['gpu'], device_ids: ['GPU-a'] })],
    ['all cards', `${web}/deploy`, gpus({ capabilities: ['gpu'], count: 'all' })],
    ['cards without a count', `${web}/deploy`, gpus({ capabilities: ['gpu'] })],
    ['a driver of devices', `${web}/deploy`, gpus({ capabilities: ['gpu'], count: 1, driver: 'cdi' })],
    ['a capability of devices', `${web}/deploy`, gpus({ capabilities: ['tpu'], count: 1 })],
    ['many replicas', `${web}/deploy`, { replicas: 100 }],
    ['a health check by a shell in one text', `${web}/healthcheck`, { ...check, test: 'curl x' }],
    ['a health check on top of the image', `${web}/healthcheck`, { disable: true }],
    ['memory without an end', `${web}/mem_limit`, -1],
    ['memory as a text', `${web}/mem_limit`, '1g'],
    ['processors without an end', `${web}/cpus`, 0],
    ['a command for a shell', `${web}/command`, 'sh -c x'],
    ['variables as a list', `${web}/environment`, ['A=b']],
    ['a variable that is taken from the agent', `${web}/environment`, { HOME: null }],
    ['a variable without a name', `${web}/environment`, { '': 'x' }],
    ['a variable with an end in it', `${web}/environment`, { A: 'x\0y' }],
    ['a service with a path as its name', '/document/services/..%2fx', {}],
    ['a service with a name in capitals', '/document/services/Web', sleepingService('x')],
    ['a service with a name that only looks like one', '/document/services/wеb', sleepingService('x')],
    ['a service with a dot in its name', '/document/services/a.b', sleepingService('x')],
    ['a service with a line in its name', '/document/services/web\n', sleepingService('x')],
    ['a service called __proto__', '/document/services/__proto__', sleepingService('x')],
    ['no service', '/document/services', {}],
    ['too many services', '/document/services', manyServices(17)],
    ['a service that waits for a list', `${web}/depends_on`, ['job']],
    [
      'a service that waits for anything',
      `${web}/depends_on`,
      { job: { condition: 'service_started', restart: true } },
    ],
  ])('%s', async (_what, pointer, value) => {
    expect(await refusalOf(withThe(pointer, value))).toMatchObject({ code: 'task.invalid' });
  });
});

describe('a document that contradicts the host, or itself', () => {
  const named = (over: object) => sleepingService(tiny, over);
  it.each([
    ['an image by its tag', () => ({ [web]: named({ image: tiny.replace(/@.*/, ':latest') }) }), 'image.not_pinned'],
    [
      'an image of another registry',
      () => ({ [web]: named({ image: tiny.replace(/^[^/]+/, 'evil.example') }) }),
      'image.registry_denied',
    ],
    ['a registry before an @', () => ({ [web]: named({ image: `evil.example@${tiny}` }) }), 'image.registry_denied'],
    ['a variable of the loader', () => ({ [`${web}/environment`]: { LD_PRELOAD: '/evil.so' } }), 'policy.refused'],
    ['cards by a variable', () => ({ [`${web}/environment`]: { NVIDIA_VISIBLE_DEVICES: 'all' } }), 'policy.refused'],
    ['a mount over the secrets', () => ({ ...withData('/run/secrets') }), 'mount.refused'],
    ['a mount over the kernel', () => ({ ...withData('/proc/self') }), 'mount.refused'],
    ['a mount of nothing', () => ({ [`${web}/volumes`]: [mount] }), 'compose.refused'],
    [
      'a health check by a shell',
      () => ({ [`${web}/healthcheck`]: { ...check, test: ['CMD-SHELL', 'id'] } }),
      'compose.refused',
    ],
    ['services that wait for each other', () => ({ ...waiting }), 'compose.refused'],
    ['a service that waits for a stranger', () => ({ [`${web}/depends_on`]: { other: started } }), 'compose.refused'],
    ['secrets for a stranger', () => ({ '/sealed_env': { other: { A: 'a.b.c.d.e' } } }), 'compose.refused'],
    ['a topology without a service', () => ({ '/topology/services': [part('web')] }), 'compose.refused'],
    ['a topology with a stranger', () => ({ '/topology/services': ['web', 'job', 'x'].map(part) }), 'compose.refused'],
    ['one port for two', () => ({ [`${web}/ports`]: [port], '/document/services/job/ports': [port] }), 'task.invalid'],
    [
      'readiness of no endpoint',
      () => ({ '/readiness': [{ type: 'tcp', endpoint: 'x', timeout_seconds: 1 }] }),
      'task.invalid',
    ],
    ['more memory than there is', () => ({ [`${web}/mem_limit`]: 2 ** 45 }), 'resources.exceeded'],
    [
      'cards where there are none',
      () => ({ [`${web}/deploy`]: gpus({ capabilities: ['gpu'], count: 1 }) }),
      'gpu.none_free',
    ],
    ['a sandbox that is not here', () => ({ '/sandbox': 'gvisor' }), 'sandbox.unavailable'],
    ['an instance in capitals', () => ({ '/identity/app_instance_id': 'Stack' }), 'compose.refused'],
    ['the allocation of another', () => ({ '/identity/allocation_id': 'other' }), 'task.untrusted'],
  ])('%s', async (_what, changes, code) => {
    const params = Object.entries(changes()).reduce((made, [pointer, value]) => withThe(pointer, value, made), fine());

    expect(await refusalOf(params)).toMatchObject({ code });
  });

  const started = { condition: 'service_started' };
  const waiting = { [`${web}/depends_on`]: { job: started }, '/document/services/job/depends_on': { web: started } };
  const part = (name: string) => ({ name, role: 'part', endpoints: [], mounts: [] });
  const withData = (target: string) => ({
    '/document/volumes': { data: volume },
    [`${web}/volumes`]: [{ ...mount, target }],
  });
});

function manyServices(count: number) {
  return Object.fromEntries(Array.from({ length: count }, (_, at) => [`s${at}`, sleepingService('x')]));
}
