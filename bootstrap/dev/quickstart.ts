/**
 * `npm run quickstart`: from a fresh machine to a running JupyterLab, through `node-agent run-task`.
 *
 *   engine, registry, image ─▶ configuration ─▶ sealed token ─▶ run-task ─▶ http://127.0.0.1:…/lab?token=…
 *
 * Can be run again at any time: what is there is used, what is missing is made. `--down` takes everything away;
 * `--down --purge` also the system packages that it had installed.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chownSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { CompactEncrypt, importJWK, type JWK } from 'jose';
import { ensureGround, tearDown } from './ground.ts';
import { buildWheel, serveIndex } from './python-index.ts';
import { stateDir } from './state.ts';

const root = resolve(import.meta.dirname, '../..');
const folder = join(stateDir(), 'quickstart');
const configFile = join(folder, 'agent.json');
const taskFile = join(folder, 'jupyterlab.json');
const secretsDir = '/dev/shm/gpuaas-quickstart';
const user = { uid: 61800, gid: 61800, home: join(folder, 'home') };
const identity = {
  project_id: 'quickstart',
  app_instance_id: 'quickstart-jupyterlab',
  allocation_id: 'quickstart',
  app_slug: 'jupyterlab',
  app_version: '2026.04-preview',
  display_name: 'JupyterLab',
};
const tokenName = 'jupyter-token';

const { values: options } = parseArgs({
  options: { down: { type: 'boolean', default: false }, purge: { type: 'boolean', default: false } },
});

async function up(): Promise<number> {
  if (process.getuid?.() !== 0) {
    console.error('Quickstart starts a container engine and changes the owner of folders: run it as root.');
    return 2;
  }
  say('1/4  engine, registry and the curated image (some minutes the first time)');
  const ground = await ensureGround(['runtime-cpu']);
  const image = ground.images['runtime-cpu'];

  say('2/4  configuration of the agent');
  writeConfig(ground.engine.socketPath, ground.registry.host);

  say('3/4  JupyterLab, through node-agent run-task');
  const wheel = buildWheel('quickstart-hello', '1.0.0', { modules: { 'quickstart_hello.py': hello } });
  const index = await serveIndex([wheel], ground.engine.bridgeAddress, { port: knownIndexPort() });
  const token = await writeTask(image.reference, index.url, index.port);
  const result = await runTask(taskFile);
  await index.close();
  if (result?.status !== 'succeeded') {
    console.error(`\nJupyterLab did not come up. The task log is in ${join(folder, 'state/task-logs')}.`);
    return 1;
  }

  say('4/4  asking JupyterLab itself');
  const port = result.output.endpoints[0]?.port;
  const status = await fetch(`http://127.0.0.1:${port}/api/status?token=${token}`);
  if (!status.ok) {
    console.error(`JupyterLab answers ${status.status} to its own token.`);
    return 1;
  }
  console.log(`
JupyterLab runs, on this host only:

  http://127.0.0.1:${port}/lab?token=${token}

From your own computer:    ssh -L ${port}:127.0.0.1:${port} <this host>
Its installed package:     import quickstart_hello; print(quickstart_hello.greeting)
What the agent did:        ${join(folder, 'state/task-logs')}
Look at the host:          npx node-agent doctor --config ${configFile}
Stop and remove it all:    npm run quickstart -- --down`);
  return 0;
}

const hello = "greeting = 'installed before the notebook was ready, gone when it is launched anew'\n";

async function down(purge: boolean): Promise<number> {
  let removed = true;
  if (existsSync(configFile)) {
    say('removing JupyterLab');
    await ensureGround([]);
    const file = join(folder, 'remove.json');
    const task = { type: 'workload.oci_remove', params: { identity, keep_data: false, grace_seconds: 5 } };
    writeFileSync(file, JSON.stringify(task), { mode: 0o600 });
    removed = (await runTask(file))?.status === 'succeeded';
  }
  if (!removed) {
    console.error('JupyterLab could not be removed; the rest is kept so that you can look at it and try again.');
    return 1;
  }
  say('removing registry, images, engine and folders');
  rmSync(secretsDir, { recursive: true, force: true });
  const { kept } = await tearDown({ purge });
  for (const line of kept) {
    console.log(`kept: ${line}`);
  }
  console.log('All of quickstart is gone.');
  return 0;
}

function writeConfig(engineSocket: string, registryHost: string): void {
  mkdirSync(user.home, { recursive: true, mode: 0o755 });
  chownSync(user.home, user.uid, user.gid);
  const config = {
    node_id: 'quickstart',
    state_dir: join(folder, 'state'),
    run_dir: join(folder, 'run'),
    allocation: { id: identity.allocation_id, user },
    gate: {
      socket: join(folder, 'gate/gate.sock'),
      state_dir: join(folder, 'gate'),
      engine_socket: engineSocket,
    },
    registries: [{ host: registryHost, prefixes: ['gpuaas-dev'] }],
    secrets_dir: secretsDir,
  };
  writeFileSync(configFile, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 });
}

interface LaunchTask {
  readonly params: {
    readonly image: { readonly reference: string };
    readonly env: { readonly PIP_INDEX_URL: string };
  };
}

/** The launch of an earlier run is kept as it was, so that a second run adopts the notebook and its token. */
async function writeTask(reference: string, indexUrl: string, indexPort: number): Promise<string> {
  const tokenFile = join(secretsDir, identity.app_instance_id, tokenName);
  if (existsSync(tokenFile) && existsSync(taskFile)) {
    const { params } = JSON.parse(readFileSync(taskFile, 'utf8')) as LaunchTask;
    if (params.image.reference === reference && params.env.PIP_INDEX_URL === indexUrl) {
      return readFileSync(tokenFile, 'utf8');
    }
  }
  const token = randomBytes(24).toString('hex');
  const task = launchTask(reference, indexUrl, await freePort(8888), await seal(token));
  writeFileSync(taskFile, `${JSON.stringify(task, null, 2)}\n`, { mode: 0o600 });
  writeFileSync(indexPortFile, String(indexPort));
  return token;
}

const indexPortFile = join(folder, 'index-port');

function knownIndexPort(): number {
  return existsSync(indexPortFile) ? Number(readFileSync(indexPortFile, 'utf8')) : 0;
}

function launchTask(reference: string, indexUrl: string, hostPort: number, sealedToken: string) {
  const jupyter = '/workspace/.jupyter';
  return {
    type: 'workload.oci_launch',
    params: {
      identity,
      image: { kind: 'registry', reference, media_type: 'application/vnd.docker.distribution.manifest.v2+json' },
      env: {
        HOME: '/workspace',
        JUPYTER_RUNTIME_DIR: `${jupyter}/runtime`,
        JUPYTER_CONFIG_DIR: `${jupyter}/config`,
        JUPYTER_DATA_DIR: `${jupyter}/data`,
        JUPYTER_PREFER_ENV_PATH: '0',
        JUPYTERLAB_SETTINGS_DIR: `${jupyter}/lab/user-settings`,
        JUPYTERLAB_WORKSPACES_DIR: `${jupyter}/lab/workspaces`,
        JUPYTER_TOKEN_FILE: `/run/secrets/${tokenName}`,
        PIP_INDEX_URL: indexUrl,
        PIP_TRUSTED_HOST: new URL(indexUrl).hostname,
      },
      sealed_files: { [`/run/secrets/${tokenName}`]: sealedToken },
      resources: { gpu_count: 0, cpu_cores: 1, memory_gib: 2 },
      mounts: [{ name: 'workspace', path: '/workspace', mode: 'scratch', read_only: false }],
      ports: [{ name: 'web', container_port: 8888, host_port: hostPort, protocol: 'http' }],
      python_packages: ['quickstart-hello==1.0.0'],
      readiness: [{ type: 'http', endpoint: 'web', path: '/api', timeout_seconds: 120 }],
      sandbox: 'runc',
      restart: { policy: 'on_failure', max_retries: 3 },
      log_limits: { max_size_mib: 10, max_files: 3 },
    },
  };
}

async function seal(value: string): Promise<string> {
  const { stdout } = await nodeAgent(['config', '--config', configFile, '--json'], 'ignore');
  const { wrapping_key: key } = JSON.parse(stdout) as { wrapping_key: JWK };
  return await new CompactEncrypt(Buffer.from(value))
    .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM' })
    .encrypt(await importJWK(key, 'ECDH-ES'));
}

interface LaunchResult {
  readonly status: string;
  readonly output: { readonly endpoints: readonly { readonly port: number }[] };
}

async function runTask(file: string): Promise<LaunchResult | undefined> {
  const { stdout } = await nodeAgent(['run-task', file, '--config', configFile], 'inherit');
  const lastLine = stdout.trimEnd().split('\n').at(-1) ?? '';
  return lastLine.startsWith('{') ? (JSON.parse(lastLine) as LaunchResult) : undefined;
}

async function nodeAgent(args: readonly string[], stderr: 'inherit' | 'ignore'): Promise<{ stdout: string }> {
  const child = spawn(process.execPath, [join(root, 'src/cli/node-agent.ts'), ...args], {
    stdio: ['ignore', 'pipe', stderr],
  });
  const [stdout] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  return { stdout };
}

/** The wished port if nobody has it, else one that the system gives. */
async function freePort(wished: number): Promise<number> {
  const server = createServer();
  server.once('error', () => server.listen(0, '127.0.0.1'));
  server.listen(wished, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : wished;
}

function say(text: string): void {
  console.error(`\n== ${text}`);
}

process.exitCode = await (options.down ? down(options.purge) : up());
