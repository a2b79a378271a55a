/** The development ground itself: what every other integration test takes for granted. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chown, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { browserArgs } from '../../bootstrap/dev/browser.ts';
import {
  containerLog,
  execIn,
  removeContainer,
  startContainer,
  waitContainer,
} from '../../bootstrap/dev/containers.ts';
import { askEngine } from '../../bootstrap/dev/engine-api.ts';
import { ensureGround, type Ground } from '../../bootstrap/dev/ground.ts';
import { imageNames } from '../../bootstrap/dev/images.ts';
import { until } from '../../bootstrap/dev/processes.ts';
import { imageIdOf } from '../../bootstrap/dev/publish.ts';
import { buildWheel, type PythonIndex, serveIndex } from '../../bootstrap/dev/python-index.ts';
import { stateDir, withLock } from '../../bootstrap/dev/state.ts';

const root = resolve(import.meta.dirname, '../..');
const prefix = `gt-${crypto.randomUUID().slice(0, 8)}`;
/** A user and group that no image knows, as which workloads run. */
const stranger = {
  User: '54321:54321',
  HostConfig: { CapDrop: ['ALL'], SecurityOpt: ['no-new-privileges'] },
};
const lockName = `${prefix}-lock`;
const programs = promisify(execFile);

let ground: Ground;
let socketPath: string;
let folder: string;
let containers = 0;
const started: string[] = [];

beforeAll(async () => {
  ground = await ensureGround();
  socketPath = ground.engine.socketPath;
  folder = await mkdtemp(join(tmpdir(), `${prefix}-`));
}, 900_000);

afterAll(async () => {
  for (const name of started) await removeContainer(socketPath, name);
  await rm(folder, { recursive: true, force: true });
  await rm(join(stateDir(), 'locks', lockName), { force: true });
});

describe('ground', () => {
  it('has Compose of the second kind', async () => {
    const { stdout } = await programs(join(ground.compose, 'docker-compose'), ['version', '--short'], { env: {} });

    expect(stdout).toMatch(/^2\.\d+/);
  });

  it('has a browser that runs as root', async () => {
    const args = [
      ...browserArgs,
      `--user-data-dir=${join(folder, 'profile')}`,
      '--dump-dom',
      'data:text/html,<p>it runs',
    ];
    const { stdout } = await programs(ground.browser, args);

    expect(stdout).toContain('<p>it runs</p>');
  });

  it.each(imageNames)('runs the image %s by digest', async (image) => {
    const { reference, image_id } = ground.images[image];
    const name = newName();

    await startContainer(socketPath, name, { Image: reference, Entrypoint: ['/bin/sh', '-c', 'echo it runs'] });
    const code = await waitContainer(socketPath, name, 100);

    expect(code).toBe(0);
    expect(await containerLog(socketPath, name)).toBe('it runs\n');
    expect(reference).toMatch(/^127\.0\.0\.1:\d+\/gpuaas-dev\/[a-z0-9-]+@sha256:[0-9a-f]{64}$/);
    expect(await imageIdOf(socketPath, reference)).toBe(image_id);
  });

  it('gives two processes that ask at once the same ground, and makes nothing anew', async () => {
    const ask = ['bootstrap/dev/with-node.sh', 'bootstrap/dev/ground.ts'];

    const answers = await Promise.all([1, 2].map(() => programs('sh', ask, { cwd: root })));

    for (const { stdout, stderr } of answers) {
      expect(JSON.parse(stdout)).toEqual(ground);
      expect(stderr).not.toMatch(/making|starting|installing/);
    }
  });

  it('frees a lock whose holder was killed', async () => {
    const script = join(folder, 'hold.ts');
    const state = join(root, 'bootstrap/dev/state.ts');
    await writeFile(
      script,
      `import { withLock } from ${JSON.stringify(state)};
await withLock(process.argv[2] ?? '', async () => { console.log('held'); await new Promise((done) => setTimeout(done, 60_000)); });`,
    );
    const holder = spawn(process.execPath, [script, lockName], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(holder.stdout, 'data');
    let mine = false;

    const waiting = withLock(lockName, async () => {
      mine = true;
    });
    await expect.poll(() => waitersFor(join(stateDir(), 'locks', lockName))).toBe(1);
    const early = mine;
    holder.kill('SIGKILL');
    await waiting;

    expect(early).toBe(false);
    expect(mine).toBe(true);
  });
});

describe('images', () => {
  it('hostile does everything that the agent has to defuse, when nobody defuses it', async () => {
    const name = newName();

    await startContainer(socketPath, name, { Image: ground.images.hostile.reference });
    const checked = await until(
      async () => (await execIn(socketPath, name, ['test', '-e', '/tmp/healthcheck-ran'])).code === 0,
      60,
      200,
    );
    const seen = await inspect(name);

    expect(checked).toBe(true);
    expect(await containerLog(socketPath, name)).toContain('hostile-entrypoint-ran');
    expect(seen.Config.Env).toContain('LD_PRELOAD=/evil.so');
    expect(seen.Config.Env).toContain('NVIDIA_VISIBLE_DEVICES=all');
    expect(seen.Mounts.map((mount) => mount.Destination).sort()).toEqual(['/data', '/workspace/sub']);
  });

  it('hostile makes anybody root, unless new privileges are forbidden', async () => {
    const su = { Image: ground.images.hostile.reference, User: '1234', Cmd: ['/setuid/su', 'root', '-c', 'id'] };

    const open = await outputOf(su);
    const closed = await outputOf({ ...su, HostConfig: { SecurityOpt: ['no-new-privileges'] } });

    expect(open).toContain('uid=0 ');
    expect(closed).not.toContain('uid=0 ');
  });

  it('healthy is healthy while its file exists', async () => {
    const name = newName();
    const becomes = (status: string) =>
      until(async () => (await inspect(name)).State.Health?.Status === status, 60, 200);

    await startContainer(socketPath, name, { Image: ground.images.healthy.reference });
    const first = (await inspect(name)).State.Health?.Status;
    await execIn(socketPath, name, ['touch', '/tmp/healthy']);
    const up = await becomes('healthy');
    await execIn(socketPath, name, ['rm', '/tmp/healthy']);
    const down = await becomes('unhealthy');

    expect(['starting', 'unhealthy']).toContain(first);
    expect([up, down]).toEqual([true, true]);
  });

  it.each(['python', 'runtime-cpu'] as const)(
    '%s lets a stranger install from an index, and only into the container',
    async (image) => {
      const wheels = [buildWheel('Gt.Depends', '1.2.0', { requires: ['gt-base>=2'] }), buildWheel('gt-base', '2.0.1')];
      const name = newName();
      const auth = { user: 'reader', password: 'p@ss/word' };
      const index = await serveIndex(wheels, ground.engine.bridgeAddress, { auth });
      try {
        await startContainer(socketPath, name, {
          Image: ground.images[image].reference,
          Cmd: ['sleep', '300'],
          ...stranger,
          Env: pipEnv(index),
        });

        const pip = ['python', '-m', 'pip', 'install', '--no-cache-dir', '--', 'gt-depends==1.2.0'];
        const installed = await execIn(socketPath, name, pip);
        const script =
          'import gt_depends, gt_base, sys; print(gt_depends.__version__, gt_base.__version__, sys.executable)';
        const imported = await execIn(socketPath, name, ['python', '-c', script]);
        const where = await execIn(socketPath, name, ['find', '/workspace', '-mindepth', '1']);

        expect(installed).toMatchObject({ code: 0 });
        expect(imported).toEqual({ code: 0, output: '1.2.0 2.0.1 /opt/venv/bin/python\n' });
        expect(where.output).toBe('');
        expect(await statusOf(`http://${new URL(index.url).host}/simple/gt-base/`)).toBe(401);
        expect(index.requests).toContain('GET /simple/gt-base/ 200');
      } finally {
        await index.close();
      }
    },
  );

  it('runtime-cpu answers as JupyterLab to a stranger, and its notebooks run in the virtual environment', async () => {
    const name = newName();
    const workspace = join(folder, 'workspace');
    await mkdir(workspace);
    await chown(workspace, 54321, 54321);
    await writeFile(join(workspace, 'kernel.py'), KERNEL_SCRIPT);
    const HostConfig = {
      ...stranger.HostConfig,
      Binds: [`${workspace}:/workspace`],
      PortBindings: { '8888/tcp': [{ HostIp: '127.0.0.1', HostPort: '' }] },
    };

    await startContainer(socketPath, name, {
      Image: ground.images.runtimeCpu.reference,
      ...stranger,
      Env: ['JUPYTER_TOKEN=gt-token'],
      HostConfig,
    });
    const port = (await inspect(name)).NetworkSettings.Ports['8888/tcp']?.[0]?.HostPort;
    const url = `http://127.0.0.1:${port}`;
    const up = await until(async () => (await statusOf(`${url}/api`)) === 200, 90, 200);
    const kernel = await execIn(socketPath, name, ['python', '/workspace/kernel.py']);
    const files = await execIn(socketPath, name, ['grep', '-rls', 'gt-token', '/workspace']);

    expect(up).toBe(true);
    expect(await statusOf(`${url}/api/contents`)).toBe(403);
    expect(await statusOf(`${url}/api/contents?token=gt-token`)).toBe(200);
    expect(await statusOf(`${url}/lab?token=gt-token`)).toBe(200);
    expect(kernel.output).toContain('kernel: /opt/venv/bin/python');
    expect(files.output).toBe('');
  });

  it('runtime-cpu holds no program that lends its owner its rights', async () => {
    const find = ['find', '/', '-xdev', '-type', 'f', '-perm', '/6000'];

    expect(await outputOf({ Image: ground.images.runtimeCpu.reference, User: '0:0', Cmd: find })).toBe('');
  });
});

const KERNEL_SCRIPT = `
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(kernel_name='python3')
show = lambda message: print(message['content'].get('text', ''), end='')
client.execute_interactive("import sys; print('kernel:', sys.executable)", output_hook=show, timeout=60)
client.stop_channels()
manager.shutdown_kernel(now=True)
`;

interface Inspected {
  readonly State: { readonly Health?: { readonly Status: string } };
  readonly Config: { readonly Env: readonly string[] };
  readonly Mounts: readonly { readonly Destination: string }[];
  readonly NetworkSettings: { readonly Ports: Readonly<Record<string, readonly { readonly HostPort: string }[]>> };
}

function newName(): string {
  containers += 1;
  const name = `${prefix}-${containers}`;
  started.push(name);
  return name;
}

async function inspect(name: string): Promise<Inspected> {
  return await askEngine<Inspected>({ socketPath, method: 'GET', path: `/containers/${name}/json` });
}

/** How many processes wait for a lock on this file, as the kernel tells it. */
async function waitersFor(path: string): Promise<number> {
  const { ino } = await stat(path);
  const lines = (await readFile('/proc/locks', 'utf8')).split('\n');
  return lines.filter((line) => line.includes('->') && line.includes(`:${ino} `)).length;
}

async function outputOf(spec: Parameters<typeof startContainer>[2]): Promise<string> {
  const name = newName();
  await startContainer(socketPath, name, spec);
  await waitContainer(socketPath, name, 100);
  return await containerLog(socketPath, name);
}

async function statusOf(url: string): Promise<number | undefined> {
  const response = await fetch(url, { signal: AbortSignal.timeout(20_000) }).catch(() => undefined);
  await response?.body?.cancel();
  return response?.status;
}

function pipEnv(index: PythonIndex): string[] {
  return Object.entries(index.env).map(([name, value]) => `${name}=${value}`);
}
