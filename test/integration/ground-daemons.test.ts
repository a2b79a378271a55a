/** The daemons of the development ground that belong to one test alone, and how a checkout gets its Node. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startContainer } from '../../bootstrap/dev/containers.ts';
import { answersPing, askEngine } from '../../bootstrap/dev/engine-api.ts';
import { ensureGround, type GroundWith } from '../../bootstrap/dev/ground.ts';
import { ensureImage } from '../../bootstrap/dev/images.ts';
import { linkNames } from '../../bootstrap/dev/links.ts';
import { startPrivateEngine } from '../../bootstrap/dev/private-engine.ts';
import { processesNaming, until } from '../../bootstrap/dev/processes.ts';
import { pushImage } from '../../bootstrap/dev/publish.ts';
import { startRegistry, TEST_LOGIN } from '../../bootstrap/dev/registry.ts';

const root = resolve(import.meta.dirname, '../..');
const prefix = `gd-${crypto.randomUUID().slice(0, 8)}`;
const programs = promisify(execFile);

let ground: GroundWith<'tiny'>;
let socketPath: string;
let folder: string;

beforeAll(async () => {
  ground = await ensureGround(['tiny']);
  socketPath = ground.engine.socketPath;
  folder = await mkdtemp(join(tmpdir(), `${prefix}-`));
}, 300_000);

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe('private engine', () => {
  it('starts again over a network that was half deleted when the engine was killed', async () => {
    const dir = join(tmpdir(), `${prefix}-half`);
    const engine = await startPrivateEngine(dir);
    try {
      const network = { Name: 'half', IPAM: { Config: [{ Subnet: '10.213.255.0/28' }] } };
      await askEngine({ socketPath: engine.socketPath, method: 'POST', path: '/networks/create', body: network });
      process.kill(engine.pid, 'SIGKILL');
      await until(async () => !(await answersPing(engine.socketPath)), 20);
      // As it lies on the disk between the release of a network's addresses and its end: without them.
      const records = join(dir, 'data/network/files/local-kv.db');
      const half = (await readFile(records, 'latin1')).replaceAll('"ipamV4Info":', '"ipamV4Gone":');
      await writeFile(records, half, 'latin1');
      await engine.restart();
      const call = { socketPath: engine.socketPath, method: 'GET' as const, path: '/networks' };
      const names = await askEngine<{ readonly Name: string }[]>(call);
      expect(names.map(({ Name }) => Name).toSorted()).toEqual(['bridge', 'host', 'none']);
    } finally {
      await engine.stop();
      await rm(dir, { recursive: true, force: true });
    }
  });

  it('is killed, started again and stopped, and leaves nothing behind nor touches the other engine', async () => {
    const dir = join(tmpdir(), `${prefix}-engine`);
    const engine = await startPrivateEngine(dir);
    let bridge: string | undefined;
    const host = ground.registry.host;
    try {
      bridge = await bridgeOf(engine.socketPath);
      const tiny = await ensureImage({ socketPath: engine.socketPath, host }, 'tiny');
      await askEngine({
        socketPath: engine.socketPath,
        method: 'POST',
        path: '/networks/create',
        body: { Name: 'own' },
      });
      const HostConfig = { NetworkMode: 'own', Init: true };
      const sleeper = { Image: tiny.reference, Cmd: ['sleep', '3000'], HostConfig };
      await startContainer(engine.socketPath, 'sleeper', sleeper);
      const killed = engine.pid;

      process.kill(killed, 'SIGKILL');
      await engine.restart();
      const again = await answersPing(engine.socketPath);
      await startContainer(engine.socketPath, 'second', sleeper);
      await engine.freeze();
      const frozen = !(await answersPing(engine.socketPath));

      expect(tiny).toEqual(ground.images.tiny);
      expect(again).toBe(true);
      expect(engine.pid).not.toBe(killed);
      expect(frozen).toBe(true);
    } finally {
      await engine.stop();
    }
    expect(await processesNaming(dir)).toEqual([]);
    expect(await readFile('/proc/self/mountinfo', 'utf8')).not.toContain(dir);
    expect(bridge).toMatch(/^gpe/);
    expect(await linkNames()).not.toContain(bridge);
    expect(await linkNames()).toContain('docker0');
    await rm(dir, { recursive: true, force: true });
  });
});

describe('the engine of a process that is killed', () => {
  it('ends with it, and so do its containers, its bridge and its folder', async () => {
    const dir = join(tmpdir(), `${prefix}-gone`);
    const owner = spawn(process.execPath, ['--input-type=module', '-e', ownerOf(dir)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [said] = await once(owner.stdout, 'data');
    const bridge = String(said).trim();
    const before = await linkNames();

    owner.kill('SIGKILL');
    const isGone = () => until(async () => !existsSync(dir) && (await processesNaming(`${dir}/`)).length === 0, 60);

    expect(await isGone()).toBe(true);
    expect([before.includes(bridge), (await linkNames()).includes(bridge)]).toEqual([true, false]);
    expect(await readFile('/proc/self/mountinfo', 'utf8')).not.toContain(dir);
  });
});

/** A process that starts an engine in this folder, with a container, says which link the engine has, and lives on. */
function ownerOf(dir: string): string {
  const at = (module: string) => JSON.stringify(join(root, 'bootstrap/dev', module));
  const sleeper = { Cmd: ['sleep', '3000'], HostConfig: { NetworkMode: 'bridge', Init: true } };
  return `
    import { startContainer } from ${at('containers.ts')};
    import { askEngine } from ${at('engine-api.ts')};
    import { ensureImage } from ${at('images.ts')};
    import { startPrivateEngine } from ${at('private-engine.ts')};
    const { socketPath } = await startPrivateEngine(${JSON.stringify(dir)});
    const { reference } = await ensureImage({ socketPath, host: ${JSON.stringify(ground.registry.host)} }, 'tiny');
    await startContainer(socketPath, 'sleeper', { ...${JSON.stringify(sleeper)}, Image: reference });
    const { Options } = await askEngine({ socketPath, method: 'GET', path: '/networks/bridge' });
    console.log(Options['com.docker.network.bridge.name']);
    setInterval(() => undefined, 1000);`;
}

describe('private registry', () => {
  it('takes an image with its credentials and refuses everybody else', async () => {
    const registry = await startRegistry(join(folder, 'registry'), { htpasswd: TEST_LOGIN.htpasswd });
    const target = { socketPath, host: registry.host, repository: `${prefix}/tiny`, tag: 'one' };
    try {
      await expect(pushImage(target, ground.images.tiny.image_id)).rejects.toThrow(/auth/);
      const pushed = await pushImage({ ...target, auth: TEST_LOGIN }, ground.images.tiny.image_id);

      expect(pushed.reference).toBe(`${registry.host}/${prefix}/tiny@${pushed.digest}`);
      expect((await fetch(`http://${registry.host}/v2/`)).status).toBe(401);
    } finally {
      await registry.stop();
      const path = `/images/${registry.host}/${prefix}/tiny:one`;
      await askEngine({ socketPath, method: 'DELETE', path });
    }
    expect(await processesNaming(join(folder, 'registry'))).toEqual([]);
  });
});

describe('checkout', () => {
  it('with-node.sh installs when the lockfile changed, and only then', async () => {
    const copy = await checkoutWithStubbedNode();
    const script = join(copy, 'bootstrap/dev/with-node.sh');

    const first = await programs('sh', [script, 'a script', 'an argument']);
    const second = await programs('sh', [script, 'x']);
    await rewriteLock(copy, '1.0.1');
    const third = await programs('sh', [script, 'x']);

    expect(first.stdout).toBe(
      `PATH: ${copy}/node_modules/.bin:${process.env['PATH']}\narguments: a script|an argument\n`,
    );
    expect(first.stderr).toContain('installing dependencies');
    expect(second.stderr).toBe('');
    expect(third.stderr).toContain('installing dependencies');
  });

  it('node-agent runs through a link on the Node of the checkout', async () => {
    const link = join(folder, 'linked-agent');
    await symlink(join(root, 'src/cli/bin/node-agent'), link);

    const { stdout } = await programs(link, ['version'], { cwd: '/' });

    expect(stdout).toContain('node-agent');
  });
});

/** The link that the engine's default network is. */
async function bridgeOf(engineSocket: string): Promise<string | undefined> {
  const { Options } = await askEngine<{ Options: Record<string, string> }>({
    ...{ socketPath: engineSocket, method: 'GET', path: '/networks/bridge' },
  });
  return Options['com.docker.network.bridge.name'];
}

/** A checkout whose lockfile has one package, which lies beside it and brings a stand-in for Node. */
async function checkoutWithStubbedNode(): Promise<string> {
  const copy = join(folder, 'checkout');
  await mkdir(join(copy, 'bootstrap/dev'), { recursive: true });
  await mkdir(join(copy, 'stub'));
  for (const file of ['with-node.sh', 'dependencies-match.mjs']) {
    await copyFile(join(root, 'bootstrap/dev', file), join(copy, 'bootstrap/dev', file));
  }
  const stub = '#!/bin/sh\nIFS="|"\necho "PATH: $PATH"\necho "arguments: $*"\n';
  await writeFile(join(copy, 'stub/node.sh'), stub);
  await chmod(join(copy, 'stub/node.sh'), 0o755);
  await rewriteLock(copy, '1.0.0');
  return copy;
}

async function rewriteLock(copy: string, version: string): Promise<void> {
  const packed = { name: 'stub', version, bin: { node: 'node.sh' } };
  const project = { name: 'checkout', version: '1.0.0', dependencies: { stub: 'file:stub' } };
  const packages = { '': project, 'node_modules/stub': { resolved: 'stub', link: true }, stub: packed };
  await writeFile(join(copy, 'stub/package.json'), JSON.stringify(packed));
  await writeFile(join(copy, 'package.json'), JSON.stringify(project));
  await writeFile(join(copy, 'package-lock.json'), JSON.stringify({ ...project, lockfileVersion: 3, packages }));
}
