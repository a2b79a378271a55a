/**
 * `npm run quickstart`: from a fresh machine to a running JupyterLab, through `node-agent run-task`.
 *
 *   engine, registry, image ─▶ configuration ─▶ sealed token ─▶ run-task ─▶ http://127.0.0.1:…/lab?token=…
 *
 * Can be run again at any time: what is there is used, what is missing is made. Everything is named after the state folder
 * (GPUAAS_DEV_STATE), so that a second quickstart beside the usual one touches nothing of it.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chownSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { CompactEncrypt, importJWK, type JWK } from 'jose';
import { ensureGround, tearDown } from './ground.ts';
import { buildWheel, serveIndex } from './python-index.ts';
import { indexPort, writeTask } from './quickstart-task.ts';
import { isUsualState, stateDir } from './state.ts';

const usage = `Usage: npm run quickstart [-- OPTION…]

Brings up a container engine, a registry, the curated image and JupyterLab on this host, as root.

  --down    take everything away again
  --purge   with --down: also the system packages that it had installed
  --help    this text`;

const root = resolve(import.meta.dirname, '../..');
const name = isUsualState()
  ? 'quickstart'
  : `quickstart-${createHash('sha256').update(stateDir()).digest('hex').slice(0, 8)}`;
const folder = join(stateDir(), 'quickstart');
const configFile = join(folder, 'agent.json');
const user = { uid: 61800, gid: 61800, home: join(folder, 'home') };
const quickstart = {
  folder,
  secretsDir: `/dev/shm/gpuaas-${name}`,
  identity: {
    project_id: name,
    app_instance_id: `${name}-jupyterlab`,
    allocation_id: name,
    app_slug: 'jupyterlab',
    app_version: '2026.04-preview',
    display_name: 'JupyterLab',
  },
};

async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args);
  if (typeof options === 'string') {
    console.error(`${options}\n\n${usage}`);
    return 2;
  }
  if (options.help) {
    console.log(usage);
    return 0;
  }
  if (process.getuid?.() !== 0) {
    console.error('Quickstart starts a container engine and changes the owner of folders: run it as root.');
    return 2;
  }
  try {
    await (options.down ? down(options.purge) : up());
    return 0;
  } catch (error) {
    const again = options.down ? 'npm run quickstart -- --down' : 'npm run quickstart';
    console.error(`\n${sentenceOf(error)}\nWhat is there is kept. Mend that and run it again: ${again}`);
    return 1;
  }
}

interface Options {
  readonly down: boolean;
  readonly purge: boolean;
  readonly help: boolean;
}

/** The options, or what is wrong with them. */
function readOptions(args: readonly string[]): Options | string {
  const flag = { type: 'boolean', default: false } as const;
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { down: flag, purge: flag, help: { ...flag, short: 'h' } },
    });
    return values.purge && !values.down ? '--purge goes with --down only.' : values;
  } catch (error) {
    if (error instanceof TypeError) return error.message;
    throw error;
  }
}

async function up(): Promise<void> {
  say('1/4  engine, registry and the curated image (some minutes the first time)');
  const ground = await ensureGround(['runtime-cpu']);

  say('2/4  configuration of the agent');
  writeConfig(ground.engine.socketPath, ground.registry.host);

  say('3/4  JupyterLab, through node-agent run-task');
  const { port, token } = await launch(
    ground.engine.socketPath,
    ground.engine.bridgeAddress,
    ground.images['runtime-cpu'].reference,
  );

  say('4/4  asking JupyterLab itself');
  const status = await fetch(`http://127.0.0.1:${port}/api/status?token=${token}`);
  if (!status.ok) throw new Error(`JupyterLab answers ${status.status} to its own token.`);
  console.log(`
JupyterLab runs, on this host only:

  http://127.0.0.1:${port}/lab?token=${token}

From your own computer:    ssh -L ${port}:127.0.0.1:${port} <this host>
Its installed package:     import quickstart_hello; print(quickstart_hello.greeting)
What the agent did:        ${join(folder, 'state/task-logs')}
Look at the host:          npx node-agent doctor --config ${configFile}
Stop and remove it all:    npm run quickstart -- --down`);
}

const hello = "greeting = 'installed before the notebook was ready, gone when it is launched anew'\n";

/** Launches or adopts the notebook. The index of its package is only there meanwhile. */
async function launch(socketPath: string, bridgeAddress: string, imageReference: string) {
  const wheel = buildWheel('quickstart-hello', '1.0.0', { modules: { 'quickstart_hello.py': hello } });
  const index = await serveIndex([wheel], bridgeAddress, { port: await indexPort(quickstart) });
  try {
    const { file, token } = await writeTask(quickstart, { socketPath, imageReference, indexUrl: index.url, seal });
    const { endpoints } = await runTask(file, 'JupyterLab did not come up');
    return { port: endpoints[0]?.port, token };
  } finally {
    await index.close();
  }
}

async function down(purge: boolean): Promise<void> {
  if (existsSync(configFile)) {
    say('removing JupyterLab');
    await ensureGround([]);
    const file = join(folder, 'remove.json');
    const params = { identity: quickstart.identity, keep_data: false, grace_seconds: 5 };
    writeFileSync(file, JSON.stringify({ type: 'workload.oci_remove', params }), { mode: 0o600 });
    await runTask(file, 'JupyterLab could not be removed');
  }
  say('removing registry, images, engine and folders');
  rmSync(quickstart.secretsDir, { recursive: true, force: true });
  const { kept } = await tearDown({ purge });
  for (const line of kept) {
    console.log(`kept: ${line}`);
  }
  console.log('All of quickstart is gone.');
}

function writeConfig(engineSocket: string, registryHost: string): void {
  mkdirSync(user.home, { recursive: true, mode: 0o755 });
  chownSync(user.home, user.uid, user.gid);
  const config = {
    node_id: name,
    state_dir: join(folder, 'state'),
    run_dir: join(folder, 'run'),
    allocation: { id: quickstart.identity.allocation_id, user },
    gate: {
      socket: join(folder, 'gate/gate.sock'),
      state_dir: join(folder, 'gate'),
      engine_socket: engineSocket,
    },
    registries: [{ host: registryHost, prefixes: ['gpuaas-dev'] }],
    secrets_dir: quickstart.secretsDir,
  };
  writeFileSync(configFile, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 });
}

async function seal(value: string): Promise<string> {
  const answer = await nodeAgent(['config', '--create-key', '--config', configFile, '--json'], 'ignore');
  const { wrapping_key: key, failure } = (answer ?? {}) as { wrapping_key?: JWK; failure?: Failure };
  if (key === undefined) throw new Error(`The agent gave no key: ${wordsOf(failure)}`);
  return await new CompactEncrypt(Buffer.from(value))
    .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM' })
    .encrypt(await importJWK(key, 'ECDH-ES'));
}

interface Failure {
  readonly message: string;
  readonly hint: string;
}

interface Result {
  readonly status: string;
  readonly output: { readonly endpoints: readonly { readonly port: number }[] };
  readonly failure: Failure | null;
}

/** The output of a task that succeeded; `complaint` begins the error of one that did not. */
async function runTask(file: string, complaint: string): Promise<Result['output']> {
  const result = (await nodeAgent(['run-task', file, '--config', configFile], 'inherit')) as Result | undefined;
  if (result?.status === 'succeeded') return result.output;
  throw new Error(`${complaint}: ${wordsOf(result?.failure)} The task log is in ${join(folder, 'state/task-logs')}.`);
}

function wordsOf(failure: Failure | null | undefined): string {
  return failure ? `${failure.message} ${failure.hint}` : 'it says why above.';
}

/** The last line of stdout, where it is JSON. */
async function nodeAgent(args: readonly string[], stderr: 'inherit' | 'ignore'): Promise<unknown> {
  const child = spawn(process.execPath, [join(root, 'src/cli/node-agent.ts'), ...args], {
    stdio: ['ignore', 'pipe', stderr],
  });
  const [stdout] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  const lastLine = stdout.trimEnd().split('\n').at(-1) ?? '';
  return lastLine.startsWith('{') ? JSON.parse(lastLine) : undefined;
}

function sentenceOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message} (${error.cause.message})` : error.message;
}

function say(text: string): void {
  console.error(`\n== ${text}`);
}

process.exitCode = await main(process.argv.slice(2));
