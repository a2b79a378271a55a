/**
 * Quickstart as people start it, beside the usual one of this host: a state folder of its own, which lends it the engine,
 * the registry and the image that are there. None of them is its own to take away.
 *
 *   quickstart ─▶ gpuaas serve, node-agent gate, node-agent run, an index (its processes) ─▶ JupyterLab, through the API
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureCompose } from '../../bootstrap/dev/compose.ts';
import { offerGvisor } from '../../bootstrap/dev/engine-gvisor.ts';
import { freePort } from '../../bootstrap/dev/free-port.ts';
import { ensureGround, type GroundWith } from '../../bootstrap/dev/ground.ts';
import { identify, type UserId } from '../../bootstrap/dev/processes.ts';
import { imageIdOf } from '../../bootstrap/dev/publish.ts';
import { daemonNames } from '../../bootstrap/dev/quickstart-daemons.ts';
import { cacheDir } from '../../bootstrap/dev/state.ts';
import { labels } from '../../src/contract/names.ts';
import { engineCall } from '../support/engine-call.ts';
import { contentsBelow } from '../support/secrets.ts';

const root = resolve(import.meta.dirname, '../..');
const gpuaas = `${process.execPath} ${join(root, 'src/cli/gpuaas.ts')}`;
const state = mkdtempSync(join(tmpdir(), 'gpuaas-quickstart-'));
/** A later checkout of the same. */
const later = mkdtempSync(join(tmpdir(), 'gpuaas-checkout-'));
const stranger: Server = createServer();
let succession: NodeJS.Timeout | undefined;
let ground: GroundWith<'runtime-cpu'>;
let url: URL;
/** What the first run has shown. */
let screen: string;
/** Why the engine does not know gVisor: one that was on this machine before may not. */
let noGvisor: string | undefined;

beforeAll(async () => {
  [ground] = await Promise.all([ensureGround(['runtime-cpu']), ensureCompose()]);
  noGvisor = await offerGvisor(false);
  lend();
  await occupy(8888);
});
afterAll(async () => {
  clearTimeout(succession);
  stranger.close();
  if (existsSync(join(state, 'quickstart/agent.json'))) await quickstart('--down');
  for (const folder of [state, later]) rmSync(folder, { recursive: true, force: true });
});

describe('quickstart', { timeout: 300_000 }, () => {
  it('takes another port where a stranger has the usual one, and says where JupyterLab is', async () => {
    const { code, stdout, stderr } = await quickstart();

    expect(code).toBe(0);
    screen = `${stderr}${stdout}`;
    url = urlIn(stdout);
    expect(Number(url.port)).not.toBe(8888);
    expect((await fetch(new URL(`/api/status${url.search}`, url))).status).toBe(200);
    expect((await fetch(new URL('/api/status', url))).status).toBe(403);
  });

  it('shows what the README shows', () => {
    const readme = readFileSync(join(root, 'README.md'), 'utf8');

    const recorded = /^\$ .*npm run quickstart\n([^`]*)```/m.exec(readme)?.[1] ?? '';
    const ofProjects = (line: string) => noGvisor !== undefined && /^ {2}(a project|a copy|no project)/.test(line);
    const wordsOf = (text: string) => fixedWords(text).filter((line) => !ofProjects(line));

    expect(wordsOf(recorded).length).toBeGreaterThan(15);
    expect(wordsOf(screen)).toEqual(wordsOf(recorded));
  });

  it('has installed its package from the index of this host, before it was ready (G-174)', async () => {
    const { loginFile } = ownNames();
    const id = (await notebookName()).replace('gpuaas-', '');

    const greeting = await runInNotebook('import quickstart_hello; print(quickstart_hello.greeting)');
    const { stdout: events } = await shell(`. ${loginFile} && ${gpuaas} apps instances events ${id}`);

    expect(greeting).toContain('installed before the notebook was ready');
    expect(events.indexOf('is installing packages')).toBeGreaterThan(0);
    expect(events.indexOf('is probing')).toBeGreaterThan(events.indexOf('is installing packages'));
  });

  it('keeps the index: what is installed later comes from there as well', async () => {
    const code = 'import pip; pip.main(["install", "--force-reinstall", "quickstart-hello"])';

    expect(await runInNotebook(code)).toContain('Successfully installed quickstart-hello-1.0.0');
  });

  it('runs only the gate as root, and the agent cannot reach the engine past it', async () => {
    const users = daemonNames.map((name) => ({ name, ...userOf(pidOf(name)) }));
    const agent = users.find(({ name }) => name === 'agent') ?? { uid: 0, gid: 0 };
    const { gate } = JSON.parse(readFileSync(join(state, 'quickstart/agent.json'), 'utf8'));

    expect(users.filter(({ uid, gid }) => uid === 0 || gid === 0).map(({ name }) => name)).toEqual(['gate']);
    expect(users.flatMap(({ groups }) => groups)).toEqual([]);
    expect(new Set(users.map(({ uid }) => uid)).size).toBe(users.length);
    expect(await connecting(ground.engine.socketPath, agent)).toBe('EACCES');
    expect(await connecting(gate.socket, agent)).toBe('connected');
    expect(await connecting(gate.socket, { uid: agent.uid + 100, gid: agent.gid + 100 })).toBe('EACCES');
    expect(statSync(join(state, 'quickstart/state'))).toMatchObject({ uid: agent.uid, mode: 0o40700 });
  });

  it('adopts the notebook when it is run again, and leaves the daemons alone', async () => {
    const before = await notebookId();
    const pids = daemonNames.map(pidOf);

    const { code, stdout } = await quickstart();

    expect(code).toBe(0);
    expect(urlIn(stdout).href).toBe(url.href);
    expect(await notebookId()).toBe(before);
    expect(daemonNames.map(pidOf)).toEqual(pids);
  });

  it('starts the notebook where it was stopped, and leaves alone what somebody has launched beside it', async () => {
    const asUser = (words: string) => shell(`. ${ownNames().loginFile} && ${gpuaas} apps instances ${words}`);
    const [before, id] = [await notebookId(), (await notebookName()).replace('gpuaas-', '')];
    const { stdout: described } = await asUser(`describe ${id} --json`);
    const { project_id, allocation_id } = JSON.parse(described);
    const port = await freePort();
    const place = `--project ${project_id} --allocation ${allocation_id} --set host_port=${port}`;
    await asUser(`stop ${id}`);
    const { stdout: launched } = await asUser(
      `launch jupyterlab --name mine ${place} --gpus 0 --cpus 2 --memory 4 --json`,
    );
    const mine = JSON.parse(launched).id;
    await asUser(`stop ${mine}`);

    const { code, stdout } = await quickstart();

    expect(code).toBe(0);
    expect(urlIn(stdout).href).toBe(url.href);
    expect(await notebookId()).toBe(before);
    expect(JSON.parse((await asUser(`describe ${mine} --json`)).stdout)).toMatchObject({ state: 'stopped' });
    expect((await asUser(`decommission ${mine}`)).code).toBe(0);
  });

  it('can launch a stack, by the very commands of docs/manifests.md', async () => {
    const page = readFileSync(join(root, 'docs/manifests.md'), 'utf8');
    const commands = /```sh\n(gpuaas apps add smoke-stack[^`]*)```/.exec(page)?.[1] ?? '';
    const asUser = (words: string) => shell(`cd ${root} && . ${ownNames().loginFile} && ${words}`);
    const id = (await notebookName()).replace('gpuaas-', '');
    const { stdout: described } = await asUser(`${gpuaas} apps instances describe ${id} --json`);
    const { project_id, allocation_id } = JSON.parse(described);

    const port = await freePort();
    const typed = commands
      .trim()
      .replace('ALLOCATION', allocation_id)
      .replace('PROJECT', `${project_id} --set host_port=${port} --json`)
      .replaceAll(/^gpuaas/gm, gpuaas)
      .replaceAll('\n', ' && ');
    const { code, stdout, stderr } = await asUser(typed);

    expect({ code, stderr }).toMatchObject({ code: 0 });
    const stack = JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
    expect(stack).toMatchObject({ state: 'running', app_slug: 'smoke-stack' });
    expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(200);
    expect((await asUser(`${gpuaas} apps instances decommission ${stack.id}`)).code).toBe(0);
  });

  it('carries a job out beside the notebook, by the very commands of the README', async () => {
    const readme = readFileSync(join(root, 'README.md'), 'utf8');
    const typed = (/```sh\n(\. \S+login[^`]*)```/.exec(readme)?.[1] ?? '')
      .trim()
      .replace(/^\. \S+/, `. ${ownNames().loginFile}`)
      .replaceAll(/\S+\/job\.json/g, join(state, 'quickstart/job.json'))
      .replaceAll(/ +#.*$/gm, '')
      .replaceAll('npx gpuaas', gpuaas)
      .replaceAll('\n', ' && ');

    const { code, stdout, stderr } = await shell(`cd ${root} && ${typed}`);

    expect({ code, stderr }).toMatchObject({ code: 0 });
    const [, made] = /^make \| made (\d+)$/m.exec(stdout) ?? [];
    expect(stdout).toContain(`use | it was ${made}\n`);
    expect(stderr).toMatch(/ is succeeded\. The job has succeeded: 2 of 2 steps have succeeded\.$/m);
    expect(screen).toContain(`npx gpuaas jobs submit ${join(state, 'quickstart/job.json')} --follow`);
  });

  it('builds a project and runs it under gVisor, by the very line on its screen', async ({ skip }) => {
    skip(noGvisor !== undefined, noGvisor);
    const [, typed = ''] = /npx (gpuaas jobs submit \S+\/regression --follow)$/m.exec(screen) ?? [];

    const { code, stdout, stderr } = await shell(`. ${ownNames().loginFile} && ${typed.replace('gpuaas', gpuaas)}`);

    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(stdout).toMatch(/^task \| 5000 points, made now$/m);
    expect(stdout).toMatch(/^task \| the result is in result\.json$/m);
    expect(await volumes()).not.toEqual([]);
  });

  it('replaces daemons whose sources are others by now, and the notebook has run on', async () => {
    const before = await notebookStart();
    makeCheckout(later, '9.9.9');

    const { code, stdout } = await quickstartWith({ checkout: later });

    expect(code).toBe(0);
    expect(urlIn(stdout).href).toBe(url.href);
    const logs = ['agent', 'control-plane'].map((name) =>
      readFileSync(join(state, `quickstart/logs/${name}.log`), 'utf8'),
    );
    expect(
      logs.map((log) =>
        log
          .trimEnd()
          .split('\n')
          .findLast((line) => line.includes('"version"')),
      ),
    ).toEqual([expect.stringContaining('"version":"9.9.9"'), expect.stringContaining('"version":"9.9.9"')]);
    expect(await notebookStart()).toBe(before);
  });

  it('says how to ask the control plane, which does answer so', async () => {
    const { stdout } = await quickstart();

    const asked = /\. (\S+)\n.*npx gpuaas (.+)/.exec(stdout);
    const { code, stdout: answer } = await shell(`. ${asked?.[1]} && ${gpuaas} ${asked?.[2]}`);

    expect(code).toBe(0);
    expect(answer).toMatch(/^state +running for /m);
    expect(answer).toContain(`ssh -N -L ${url.port}:127.0.0.1:${url.port} `);
  });

  it('says how to open the console, which it serves, and how to sign in there', async () => {
    const { stdout } = await quickstart();

    const [, console = '', id] = /(http:\S+)\/#\/instances\/(\S+)/.exec(stdout) ?? [];
    const [, token = ''] = /^Sign in at the console: +(\S+)$/m.exec(stdout) ?? [];
    const page = await (await fetch(console)).text();
    const [, script = ''] = /src="(\/assets\/main-\w+\.js)"/.exec(page) ?? [];
    const signedIn = await fetch(new URL('/api/v1/session', console), {
      ...{ method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ token }) },
    });
    const { csrf_token } = (await signedIn.json()) as { csrf_token: string };
    const cookie = signedIn.headers.getSetCookie()[0]?.split(';')[0] ?? '';
    const shown = await fetch(new URL(`/api/v1/app-instances/${id}`, console), {
      headers: { cookie, 'x-gpuaas-csrf': csrf_token },
    });

    expect((await fetch(new URL(script, console))).headers.get('content-type')).toContain('javascript');
    expect(await shown.json()).toMatchObject({ id, state: 'running' });
  });

  it('keeps tokens in memory only', async () => {
    const { loginFile } = ownNames();
    const secrets = [
      url.searchParams.get('token') ?? '',
      /GPUAAS_TOKEN='(.+)'/.exec(readFileSync(loginFile, 'utf8'))?.[1] ?? '',
    ];

    const found = contentsBelow(state)
      .filter(([, content]) => secrets.some((secret) => content.includes(secret)))
      .map(([file]) => file)
      .toArray();

    expect(secrets.every((secret) => secret.length > 30)).toBe(true);
    // The notebook itself writes its token into its own runtime folder.
    expect(found.filter((file) => !file.includes('/workspace/.jupyter/runtime/'))).toEqual([]);
  });

  it('starts what has died, and the notebook has run on', async () => {
    const before = await notebookId();
    for (const daemon of daemonNames) process.kill(pidOf(daemon), 'SIGKILL');

    const { code, stdout } = await quickstart();

    expect(code).toBe(0);
    expect(urlIn(stdout).href).toBe(url.href);
    expect(await notebookId()).toBe(before);
  });

  it('launches a notebook anew whose token is lost, at the same port', async () => {
    const before = await notebookId();
    const { memory } = ownNames();
    rmSync(memory, { recursive: true });

    const { code, stdout } = await quickstart();

    expect(code).toBe(0);
    const anew = urlIn(stdout);
    expect(anew.port).toBe(url.port);
    expect(anew.search).not.toBe(url.search);
    expect(await notebookId()).not.toBe(before);
    expect((await fetch(new URL(`/api/status${anew.search}`, anew))).status).toBe(200);
    url = anew;
  });

  it('says in words what is in its way, with no stack, and keeps what is there', async () => {
    const nobody = { GPUAAS_DEV_REGISTRY: '127.0.0.1:1' };

    const { code, stdout, stderr } = await quickstartWith({ env: nobody });

    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toContain('No registry answers at 127.0.0.1:1, which GPUAAS_DEV_REGISTRY names.');
    expect(stderr).toContain(`run it again: GPUAAS_DEV_STATE=${state} npm run quickstart`);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect((await fetch(new URL(`/api/status${url.search}`, url))).status).toBe(200);
  });

  it('refuses a place that its daemons could not enter before it makes anything there', async () => {
    const closed = join(later, 'closed');
    mkdirSync(closed, { mode: 0o700 });

    const { code, stderr } = await quickstartWith({ env: { GPUAAS_DEV_STATE: join(closed, 'state') } });

    expect(code).toBe(1);
    expect(stderr).toContain(`may not enter ${closed}: let GPUAAS_DEV_STATE name another folder.`);
    expect(readdirSync(closed)).toEqual([]);
  });

  it('--down takes away what is its own, and nothing else', async () => {
    const { memory } = ownNames();
    const container = await notebookName();
    const daemons = daemonNames.map(pidOf);
    const filter = ofAllocation();

    const { code, stdout } = await quickstart('--down');

    expect(code).toBe(0);
    expect(stdout).toContain('kept: the container engine, which was not started from here');
    expect(await statusOf(`/containers/${container}/json`)).toBe(404);
    expect(await statusOf(`/networks/${container}`)).toBe(404);
    expect(await volumes(filter)).toEqual([]);
    expect((await Promise.all(daemons.map(identify))).filter((one) => one !== undefined)).toEqual([]);
    expect(existsSync(state)).toBe(false);
    expect(existsSync(memory)).toBe(false);
    const { reference, image_id } = ground.images['runtime-cpu'];
    expect(await imageIdOf(ground.engine.socketPath, reference)).toBe(image_id);
    expect((await fetch(`http://${ground.registry.host}/v2/`)).status).toBe(200);
    expect(existsSync(join(cacheDir(), 'images/runtime-cpu.json'))).toBe(true);
  });

  it('can be taken away when its allocation was ended, and by a release before that knew no sandboxes', async () => {
    lend();
    const first = await quickstart();
    const { loginFile, allocation } = ownNames();
    const ended = await shell(`. ${loginFile} && ${gpuaas} allocations end ${allocation}`);

    const again = await quickstart();
    withoutSandboxes();
    const down = await quickstart('--down');

    expect([first, ended, again, down].map(({ code }) => code)).toEqual([0, 0, 1, 0]);
    expect(again.stderr).toContain(`This host serves ${allocation}, which is gone: `);
    expect(existsSync(state)).toBe(false);
  });
});

describe('the options of quickstart', () => {
  it('are told on request', async () => {
    expect(await quickstart('--help')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('--down'),
      stderr: '',
    });
  });

  it.each([['--nope'], ['--purge'], ['--gvisor --down'], ['stray']])(
    'end it with 2 and the usage where they are none: %s',
    async (options) => {
      const { code, stdout, stderr } = await quickstart(...options.split(' '));

      expect([code, stdout]).toEqual([2, '']);
      expect(stderr).toContain('Usage: npm run quickstart');
      expect(stderr).not.toMatch(/^\s+at /m);
    },
  );
});

/** What is there already, so that it is neither fetched nor built again. */
function lend(): void {
  for (const part of ['images/runtime-cpu.json', 'unpacked/docker-compose']) {
    cpSync(join(cacheDir(), part), join(state, 'cache', part), { recursive: true });
  }
}

/** From the configuration that it wrote: its allocation, and where it keeps what is only in memory. */
function ownNames(): { readonly allocation: string; readonly memory: string; readonly loginFile: string } {
  const { allocation, secrets_dir } = JSON.parse(readFileSync(join(state, 'quickstart/agent.json'), 'utf8'));
  const memory = dirname(secrets_dir);
  return { allocation: allocation.id, memory, loginFile: join(memory, 'login') };
}

/** As releases before gVisor wrote it. */
function withoutSandboxes(): void {
  const file = join(state, 'quickstart/agent.json');
  const { sandboxes: _none, ...config } = JSON.parse(readFileSync(file, 'utf8'));
  writeFileSync(file, JSON.stringify(config));
}

/** What is of the allocation that quickstart made, as a filter of the engine. */
function ofAllocation(): string {
  return encodeURIComponent(JSON.stringify({ label: [`${labels.allocation}=${ownNames().allocation}`] }));
}

async function volumes(filter = ofAllocation()): Promise<readonly object[]> {
  const path = `/volumes?filters=${filter}`;
  return (await engineCall<{ Volumes: object[] }>(ground.engine.socketPath, 'GET', path)).body.Volumes;
}

/** The one container of the allocation. */
async function notebook(): Promise<{ readonly Id: string; readonly Names: readonly string[] }> {
  const path = `/containers/json?filters=${ofAllocation()}`;
  const { body } = await engineCall<{ Id: string; Names: string[] }[]>(ground.engine.socketPath, 'GET', path);
  expect(body).toHaveLength(1);
  return body[0] ?? { Id: '', Names: [] };
}

const notebookId = async () => (await notebook()).Id;
const notebookName = async () => (await notebook()).Names[0]?.slice(1) ?? '';

/** Another one after each start of the container. */
async function notebookStart(): Promise<string> {
  const path = `/containers/${await notebookId()}/json`;
  const { body } = await engineCall<{ Id: string; State: { StartedAt: string } }>(
    ground.engine.socketPath,
    'GET',
    path,
  );
  return `${body.Id} ${body.State.StartedAt}`;
}

/** What Python prints in the notebook's container, as the multiplexed stream of the engine. */
async function runInNotebook(code: string): Promise<string> {
  const { socketPath } = ground.engine;
  const wish = { Cmd: ['python', '-c', code], AttachStdout: true, AttachStderr: true };
  const { body } = await engineCall<{ Id: string }>(socketPath, 'POST', `/containers/${await notebookId()}/exec`, wish);
  return (await engineCall<string>(socketPath, 'POST', `/exec/${body.Id}/start`, { Detach: false, Tty: false })).body;
}

function pidOf(daemon: string): number {
  return JSON.parse(readFileSync(join(state, `quickstart/processes/${daemon}.json`), 'utf8')).pid;
}

async function shell(command: string): Promise<Ended> {
  const child = spawn('sh', ['-c', command], { stdio: ['ignore', 'pipe', 'pipe'] });
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { code: child.exitCode, stdout, stderr };
}

async function statusOf(path: string): Promise<number> {
  return (await engineCall(ground.engine.socketPath, 'GET', path)).status;
}

function urlIn(stdout: string): URL {
  return new URL(/http:\S+\/lab\?token=\w+/.exec(stdout)?.[0] ?? '');
}

/** Of a screen, the lines that are the same everywhere, and the labels of those that are not. */
function fixedWords(text: string): string[] {
  return [...text.matchAll(/^(?:== .*|✓ .*(?= \()|JupyterLab runs.*|(?: {2})?[A-Za-z][^:\n]*: {2,})/gm)].map(
    ([words]) => words,
  );
}

/** If somebody has it already, that is as good: he is followed as soon as he leaves. */
async function occupy(port: number): Promise<void> {
  const listen = () => stranger.listen(port, '127.0.0.1');
  stranger.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EADDRINUSE') throw error;
    succession = setTimeout(listen, 10);
  });
  await once(listen(), 'listening').catch((error: NodeJS.ErrnoException) => expect(error.code).toBe('EADDRINUSE'));
}

function makeCheckout(folder: string, version: string): void {
  for (const part of ['src', 'bootstrap', 'examples', 'tsconfig.json']) {
    cpSync(join(root, part), join(folder, part), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ ...manifest, version }));
}

/** As whom a process runs, by the word of the kernel; `groups` are those beside its own. */
function userOf(pid: number): UserId & { readonly groups: readonly string[] } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const ids = (name: string) => new RegExp(`^${name}:(.*)$`, 'm').exec(status)?.[1]?.trim().split(/\s+/) ?? [];
  return { uid: Number(ids('Uid')[0]), gid: Number(ids('Gid')[0]), groups: ids('Groups').filter(Boolean) };
}

/** What a process of that user gets when it connects to a Unix socket. */
async function connecting(socket: string, { uid, gid }: UserId): Promise<string> {
  const code = `require('node:net').connect(${JSON.stringify(socket)})
    .on('connect', () => { console.log('connected'); process.exit() }).on('error', (error) => console.log(error.code))`;
  const node = join(state, `quickstart/programs/node-${process.version}`);
  const child = spawn(node, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'], cwd: '/', uid, gid });
  return (await text(child.stdout)).trim();
}

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const quickstart = async (...words: string[]) => await quickstartWith({}, ...words);

interface Circumstances {
  readonly env?: NodeJS.ProcessEnv;
  readonly checkout?: string;
}

async function quickstartWith({ env, checkout = root }: Circumstances, ...words: string[]): Promise<Ended> {
  const { GPUAAS_DEV_CACHE: _shared, ...usual } = process.env;
  const child = spawn(process.execPath, [join(checkout, 'bootstrap/dev/quickstart.ts'), ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...usual, GPUAAS_DEV_STATE: state, GPUAAS_DEV_REGISTRY: ground.registry.host, ...env },
  });
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { code: child.exitCode, stdout, stderr };
}
