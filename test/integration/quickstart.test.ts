/**
 * Quickstart as people start it, beside the usual one of this host: a state folder of its own, which lends it the engine,
 * the registry and the image that are there. None of them is its own to take away.
 *
 *   quickstart ─▶ gpuaas serve, node-agent gate, node-agent run (its processes) ─▶ JupyterLab, launched through the API
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureGround, type GroundWith } from '../../bootstrap/dev/ground.ts';
import { identify } from '../../bootstrap/dev/processes.ts';
import { imageIdOf } from '../../bootstrap/dev/publish.ts';
import { cacheDir } from '../../bootstrap/dev/state.ts';
import { labels } from '../../src/contract/names.ts';
import { engineCall } from '../support/engine-call.ts';

const script = resolve(import.meta.dirname, '../../bootstrap/dev/quickstart.ts');
const gpuaas = `${process.execPath} ${resolve(import.meta.dirname, '../../src/cli/gpuaas.ts')}`;
const state = mkdtempSync(join(tmpdir(), 'gpuaas-quickstart-'));
const stranger: Server = createServer();
let succession: NodeJS.Timeout | undefined;
let ground: GroundWith<'runtime-cpu'>;
let url: URL;

beforeAll(async () => {
  ground = await ensureGround(['runtime-cpu']);
  cpSync(join(cacheDir(), 'images/runtime-cpu.json'), join(state, 'cache/images/runtime-cpu.json'));
  await occupy(8888);
});
afterAll(async () => {
  clearTimeout(succession);
  stranger.close();
  if (existsSync(join(state, 'quickstart/agent.json'))) await quickstart('--down');
  rmSync(state, { recursive: true, force: true });
});

describe('quickstart', { timeout: 300_000 }, () => {
  it('takes another port where a stranger has the usual one, and says where JupyterLab is', async () => {
    const { code, stdout } = await quickstart();

    expect(code).toBe(0);
    url = urlIn(stdout);
    expect(Number(url.port)).not.toBe(8888);
    expect((await fetch(new URL(`/api/status${url.search}`, url))).status).toBe(200);
    expect((await fetch(new URL('/api/status', url))).status).toBe(403);
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

  it('adopts the notebook when it is run again', async () => {
    const before = await notebookId();

    const { code, stdout } = await quickstart();

    expect(code).toBe(0);
    expect(urlIn(stdout).href).toBe(url.href);
    expect(await notebookId()).toBe(before);
  });

  it('says how to ask the control plane, which does answer so', async () => {
    const { stdout } = await quickstart();

    const asked = /\. (\S+)\n.*npx gpuaas (.+)/.exec(stdout);
    const { code, stdout: answer } = await shell(`. ${asked?.[1]} && ${gpuaas} ${asked?.[2]}`);

    expect(code).toBe(0);
    expect(answer).toMatch(/^state +running for /m);
    expect(answer).toContain(`ssh -N -L ${url.port}:127.0.0.1:${url.port} `);
  });

  it('keeps tokens in memory only', async () => {
    const { loginFile } = ownNames();
    const secrets = [
      url.searchParams.get('token') ?? '',
      /GPUAAS_TOKEN='(.+)'/.exec(readFileSync(loginFile, 'utf8'))?.[1] ?? '',
    ];

    const found = filesOf(state).filter((file) => secrets.some((secret) => readFileSync(file).includes(secret)));

    expect(secrets.every((secret) => secret.length > 30)).toBe(true);
    // The notebook itself writes its token into its own runtime folder.
    expect(found.filter((file) => !file.includes('/workspace/.jupyter/runtime/'))).toEqual([]);
  });

  it('starts what has died, and the notebook has run on', async () => {
    const before = await notebookId();
    for (const daemon of ['control-plane', 'gate', 'agent']) process.kill(pidOf(daemon), 'SIGKILL');

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

    const { code, stdout, stderr } = await quickstart(nobody);

    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toContain('No registry answers at 127.0.0.1:1, which GPUAAS_DEV_REGISTRY names.');
    expect(stderr).toContain('run it again: npm run quickstart');
    expect(stderr).not.toMatch(/^\s+at /m);
    expect((await fetch(new URL(`/api/status${url.search}`, url))).status).toBe(200);
  });

  it('--down takes away what is its own, and nothing else', async () => {
    const { memory } = ownNames();
    const container = await notebookName();
    const daemons = ['control-plane', 'gate', 'agent'].map(pidOf);

    const { code, stdout } = await quickstart('--down');

    expect(code).toBe(0);
    expect(stdout).toContain('kept: the container engine, which was not started from here');
    expect(await statusOf(`/containers/${container}/json`)).toBe(404);
    expect(await statusOf(`/networks/${container}`)).toBe(404);
    expect(await Promise.all(daemons.map(identify))).toEqual([undefined, undefined, undefined]);
    expect(existsSync(state)).toBe(false);
    expect(existsSync(memory)).toBe(false);
    const { reference, image_id } = ground.images['runtime-cpu'];
    expect(await imageIdOf(ground.engine.socketPath, reference)).toBe(image_id);
    expect((await fetch(`http://${ground.registry.host}/v2/`)).status).toBe(200);
    expect(existsSync(join(cacheDir(), 'images/runtime-cpu.json'))).toBe(true);
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

  it.each([['--nope'], ['--purge'], ['stray']])(
    'end it with 2 and the usage where they are none: %s',
    async (option) => {
      const { code, stdout, stderr } = await quickstart(option);

      expect([code, stdout]).toEqual([2, '']);
      expect(stderr).toContain('Usage: npm run quickstart');
      expect(stderr).not.toMatch(/^\s+at /m);
    },
  );
});

/** Where quickstart keeps what is only in memory, from the configuration that it wrote. */
function ownNames(): { readonly memory: string; readonly loginFile: string } {
  const { secrets_dir } = JSON.parse(readFileSync(join(state, 'quickstart/agent.json'), 'utf8'));
  const memory = dirname(secrets_dir);
  return { memory, loginFile: join(memory, 'login') };
}

/** The one container of the allocation that quickstart made. */
async function notebook(): Promise<{ readonly Id: string; readonly Names: readonly string[] }> {
  const { allocation } = JSON.parse(readFileSync(join(state, 'quickstart/agent.json'), 'utf8'));
  const filters = encodeURIComponent(JSON.stringify({ label: [`${labels.allocation}=${allocation.id}`] }));
  const path = `/containers/json?filters=${filters}`;
  const { body } = await engineCall<{ Id: string; Names: string[] }[]>(ground.engine.socketPath, 'GET', path);
  expect(body).toHaveLength(1);
  return body[0] ?? { Id: '', Names: [] };
}

const notebookId = async () => (await notebook()).Id;
const notebookName = async () => (await notebook()).Names[0]?.slice(1) ?? '';

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

function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
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

/** If somebody has it already, that is as good: he is followed as soon as he leaves. */
async function occupy(port: number): Promise<void> {
  const listen = () => stranger.listen(port, '127.0.0.1');
  stranger.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EADDRINUSE') throw error;
    succession = setTimeout(listen, 10);
  });
  await once(listen(), 'listening').catch((error: NodeJS.ErrnoException) => expect(error.code).toBe('EADDRINUSE'));
}

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function quickstart(...args: (string | Record<string, string>)[]): Promise<Ended> {
  const words = args.filter((arg) => typeof arg === 'string');
  const over = Object.assign({}, ...args.filter((arg) => typeof arg !== 'string'));
  const { GPUAAS_DEV_CACHE: _shared, ...usual } = process.env;
  const child = spawn(process.execPath, [script, ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...usual, GPUAAS_DEV_STATE: state, GPUAAS_DEV_REGISTRY: ground.registry.host, ...over },
  });
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { code: child.exitCode, stdout, stderr };
}
