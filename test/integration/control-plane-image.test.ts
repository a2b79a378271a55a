/** The image of the control plane, built from its Dockerfile without the network and run as who does not trust it would. */
import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { buildGpuaas } from '../../bootstrap/dev/build.ts';
import { containerLog, removeContainer } from '../../bootstrap/dev/containers.ts';
import { callEngine, streamEngine } from '../../bootstrap/dev/engine-api.ts';
import { freePort } from '../../bootstrap/dev/free-port.ts';
import { ensureGround } from '../../bootstrap/dev/ground.ts';
import { until } from '../support/daemon-ground.ts';
import { engineCall } from '../support/engine-call.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const root = resolve(import.meta.dirname, '../..');
const folder = temporaryFolder('image');
const suffix = randomBytes(4).toString('hex');
const context = join(folder, 'context');
const [base, image] = [`gpuaas-test/node:${suffix}`, `gpuaas-test/control-plane:${suffix}`];
const name = `gpuaas-test-control-plane-${suffix}`;
let socketPath: string;

/** Builds as an engine without the network does; what went wrong is in a line of its answer. */
async function build(context: string, tag: string, args: Readonly<Record<string, string>> = {}): Promise<void> {
  const tar = spawn('tar', ['-C', context, '-c', '.'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const query = new URLSearchParams({
    t: tag,
    rm: '1',
    forcerm: '1',
    networkmode: 'none',
    buildargs: JSON.stringify(args),
  });
  const lines = await streamEngine({ socketPath, method: 'POST', path: `/build?${query}`, stream: tar.stdout });
  expect(lines.at(-1)?.['stream']).toContain('Successfully tagged');
}

beforeAll(async () => {
  const ground = await ensureGround(['python']);
  socketPath = ground.engine.socketPath;
  // What an image of Node has: the program, and a library that Debian alone has not.
  const node = join(folder, 'node');
  mkdirSync(node);
  copyFileSync(process.execPath, join(node, 'node'));
  copyFileSync(
    realpathSync(`/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu/libatomic.so.1`),
    join(node, 'libatomic.so.1'),
  );
  const recipe = [
    `FROM ${ground.images.python.reference}`,
    'USER 0:0',
    'COPY node /usr/local/bin/',
    'COPY libatomic.so.1 /usr/lib/',
    '',
  ];
  writeFileSync(join(node, 'Dockerfile'), recipe.join('\n'));
  await build(node, base);
  await buildGpuaas(join(context, 'dist'));
  copyFileSync(join(root, 'LICENSE'), join(context, 'LICENSE'));
  copyFileSync(join(root, 'Dockerfile.control-plane'), join(context, 'Dockerfile'));
  await build(context, image, { BASE: base });
});
afterAll(async () => {
  await removeContainer(socketPath, name);
  for (const each of [image, base]) await callEngine({ socketPath, method: 'DELETE', path: `/images/${each}?force=1` });
});

interface Inspected {
  readonly State: { readonly Status: string; readonly ExitCode: number; readonly Health?: { readonly Status: string } };
  readonly Config: { readonly User: string };
}
const inspect = async () => (await engineCall<Inspected>(socketPath, 'GET', `/containers/${name}/json`)).body;
const act = (action: string) => engineCall(socketPath, 'POST', `/containers/${name}/${action}`);

async function create(env: readonly string[], port: number): Promise<void> {
  await removeContainer(socketPath, name);
  const { status } = await engineCall(socketPath, 'POST', `/containers/create?name=${name}`, {
    ...{ Image: image, Env: env, ExposedPorts: { '8080/tcp': {} } },
    // As often as a test can wait for; what is asked is the image's own.
    Healthcheck: { Interval: 1e9, StartPeriod: 1e9 },
    HostConfig: {
      ...{ ReadonlyRootfs: true, CapDrop: ['ALL'], SecurityOpt: ['no-new-privileges'] },
      PortBindings: { '8080/tcp': [{ HostIp: '127.0.0.1', HostPort: String(port) }] },
    },
  });
  expect(status).toBe(201);
  await act('start');
}

it('is built and run by the commands of docs/control-plane.md', async () => {
  const page = readFileSync(join(root, 'docs/control-plane.md'), 'utf8');
  const [, commands = ''] = /```sh\nnpm run build\n(docker build [^`]+)```/.exec(page) ?? [];
  const port = await freePort();
  const ours = [
    ['-f Dockerfile.control-plane ', '-f Dockerfile '],
    ['docker.io/library/node:26-slim', base],
    ['-t gpuaas .', `-t ${image} .`],
    ['docker run -d -p 127.0.0.1:8080:', `docker run -d --name ${name} -p 127.0.0.1:${port}:`],
    ['-v gpuaas:', '-v '],
    ['INSECURE_LISTEN=true gpuaas', `INSECURE_LISTEN=true ${image}`],
  ] as const;
  expect(ours.filter(([shown]) => !commands.includes(shown))).toEqual([]);
  const typed = ours.reduce((text, [shown, real]) => text.replace(shown, real), commands);
  await removeContainer(socketPath, name);

  const env = { ...process.env, DOCKER_HOST: `unix://${socketPath}`, DOCKER_BUILDKIT: '0' };
  await promisify(execFile)('sh', ['-ec', typed], { cwd: context, env });

  const answers = async () => (await fetch(`http://127.0.0.1:${port}/healthz`).catch(() => undefined))?.status === 200;
  await until(answers, 'its answer');
});

it('refuses to listen in the clear unless it is told so', async () => {
  await create([], await freePort());

  await until(async () => (await inspect()).State.Status === 'exited', 'its end');

  expect((await inspect()).State.ExitCode).toBe(2);
  expect(await containerLog(socketPath, name)).toContain('server.config_invalid');
});

it('serves the interface and the console as nobody, on a root that is read only, is healthy, and keeps what it knows', async () => {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  await create(['GPUAAS_SERVER_INSECURE_LISTEN=true', `GPUAAS_SERVER_PUBLIC_URL=${url}`], port);
  const answers = async () => (await fetch(`${url}/healthz`).catch(() => undefined))?.status === 200;
  await until(answers, 'its answer');
  const [token = ''] = /gpuaas_[0-9a-f]{16}_[A-Za-z0-9_-]{43}/.exec(await containerLog(socketPath, name)) ?? [];
  const me = async () =>
    (await fetch(`${url}/api/v1/session`, { headers: { authorization: `Bearer ${token}` } })).status;

  const page = await (await fetch(`${url}/`)).text();
  const [, script = ''] = /src="(\/assets\/[^"]+\.js)"/.exec(page) ?? [];

  expect(await me()).toBe(200);
  expect((await fetch(`${url}${script}`)).headers.get('content-type')).toContain('text/javascript');
  await until(async () => (await inspect()).State.Health?.Status === 'healthy', 'its health');
  expect((await inspect()).Config.User).toBe('10001:10001');

  await act('stop?t=30');
  expect((await inspect()).State.ExitCode).toBe(0);
  await act('start');
  await until(answers, 'its answer after a restart');
  expect(await me()).toBe(200);
});
