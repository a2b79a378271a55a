/**
 * Quickstart as people start it, beside the usual one of this host: a state folder of its own, which lends it the engine,
 * the registry and the image that are there. None of them is its own to take away.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureGround, type GroundWith } from '../../bootstrap/dev/ground.ts';
import { imageIdOf } from '../../bootstrap/dev/publish.ts';
import { cacheDir } from '../../bootstrap/dev/state.ts';
import { containerName, networkName } from '../../src/contract/names.ts';
import { engineCall } from '../support/engine-call.ts';

const script = resolve(import.meta.dirname, '../../bootstrap/dev/quickstart.ts');
const state = mkdtempSync(join(tmpdir(), 'gpuaas-quickstart-'));
const stranger: Server = createServer();
let ground: GroundWith<'runtime-cpu'>;
let url: URL;

beforeAll(async () => {
  ground = await ensureGround(['runtime-cpu']);
  cpSync(join(cacheDir(), 'images/runtime-cpu.json'), join(state, 'cache/images/runtime-cpu.json'));
  await occupy(8888);
});
afterAll(async () => {
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

  it('adopts the notebook when it is run again', async () => {
    const before = await notebookId();

    const { code, stdout } = await quickstart();

    expect(code).toBe(0);
    expect(urlIn(stdout).href).toBe(url.href);
    expect(await notebookId()).toBe(before);
  });

  it('replaces the notebook of another image, at the same port and with the same token', async () => {
    const before = await notebookId();
    const file = join(state, 'quickstart/jupyterlab.json');
    const older = readFileSync(file, 'utf8').replace(/@sha256:[0-9a-f]{64}/, `@sha256:${'0'.repeat(64)}`);
    writeFileSync(file, older);

    const { code, stdout } = await quickstart();

    expect(code).toBe(0);
    expect(urlIn(stdout).href).toBe(url.href);
    expect(await notebookId()).not.toBe(before);
    expect((await fetch(new URL(`/api/status${url.search}`, url))).status).toBe(200);
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
    const { instance, secretsDir } = ownNames();

    const { code, stdout } = await quickstart('--down');

    expect(code).toBe(0);
    expect(stdout).toContain('kept: the container engine, which was not started from here');
    expect(await statusOf(`/containers/${containerName(instance)}/json`)).toBe(404);
    expect(await statusOf(`/networks/${networkName(instance)}`)).toBe(404);
    expect(existsSync(state)).toBe(false);
    expect(existsSync(secretsDir)).toBe(false);
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

/** What quickstart named itself, from the configuration that it wrote. */
function ownNames(): { readonly instance: string; readonly secretsDir: string } {
  const { node_id, secrets_dir } = JSON.parse(readFileSync(join(state, 'quickstart/agent.json'), 'utf8'));
  return { instance: `${node_id}-jupyterlab`, secretsDir: secrets_dir };
}

async function notebookId(): Promise<string> {
  const path = `/containers/${containerName(ownNames().instance)}/json`;
  return (await engineCall<{ Id: string }>(ground.engine.socketPath, 'GET', path)).body.Id;
}

async function statusOf(path: string): Promise<number> {
  return (await engineCall(ground.engine.socketPath, 'GET', path)).status;
}

function urlIn(stdout: string): URL {
  return new URL(/http:\S+\/lab\?token=\w+/.exec(stdout)?.[0] ?? '');
}

/** If it is taken already, that is as good. */
async function occupy(port: number): Promise<void> {
  stranger.listen(port, '127.0.0.1');
  await once(stranger, 'listening').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EADDRINUSE') throw error;
  });
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
