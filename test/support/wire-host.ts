/**
 * One host of the wire, on the engine that all of them share: an allocation, an enrolled identity, a gate and an agent as
 * processes, all in a folder of its own.
 */
import { randomBytes } from 'node:crypto';
import { chownSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { ensureCompose } from '../../bootstrap/dev/compose.ts';
import type { AgentConfig } from '../../src/agent/config.ts';
import { until } from './daemon-ground.ts';
import { type RunningTask, startNodeAgent } from './run-task-process.ts';
import { removeEverything } from './test-host.ts';
import type { Answer, Restartable } from './wire-ground.ts';

export interface WireHost {
  readonly allocationId: string;
  readonly nodeId: string;
  readonly joinToken: string;
  readonly configFile: string;
  readonly agent: Restartable;
  readonly gate: Restartable;
}

export interface HostOptions {
  /** Where it is all kept; must be there. */
  readonly folder: string;
  readonly url: string;
  /** PEM file of the CA to enrol with. */
  readonly ca?: string | undefined;
  readonly projectId: string;
  readonly engineSocket: string;
  /** The socket that the gate uses, if not the engine's own. */
  readonly gateway: string;
  readonly registryHost: string;
  /** What runs as the agent and the gate, if not the sources. */
  readonly program: string | undefined;
  /** What the configuration says otherwise. */
  readonly agentConfig: Partial<AgentConfig>;
  /** What the allocation says otherwise. */
  readonly allocation: {
    readonly name?: string;
    readonly shape?: { readonly gpu_count: number; readonly cpu_cores: number; readonly memory_gib: number };
    readonly ssh?: { readonly user: string; readonly host: string; readonly port: number };
  };
  /** What the agent has in its environment besides ours. */
  readonly environment: NodeJS.ProcessEnv;
  readonly logs: (() => string)[];
  /** Makes something as an admin; throws where that is refused. */
  readonly made: (method: string, path: string, body?: unknown) => Promise<Answer['body']>;
  /** Takes it all away at the end. */
  readonly undo: AsyncDisposableStack;
}

/** Resolves when its agent is connected. */
export async function openHost({ undo, made, agentConfig, environment, ...options }: HostOptions): Promise<WireHost> {
  const { folder, url, ca, projectId, engineSocket, gateway, registryHost, program, logs, allocation } = options;
  const shape = { gpu_count: 0, cpu_cores: 400, memory_gib: 400 };
  const ssh = { user: 'tenant', host: 'gpu.example.com', port: 22 };
  const { id: allocationId } = await made('POST', '/api/v1/allocations', {
    ...{ project_id: projectId, name: 'a host', shape, ssh, data_policy: 'wipe', ...allocation },
  });
  undo.defer(() => removeEverything(engineSocket, allocationId));
  const secrets = `/dev/shm/gpuaas-wire-${randomBytes(5).toString('hex')}`;
  undo.defer(() => rmSync(secrets, { recursive: true, force: true }));
  undo.defer(() => rmSync(inputsOf(folder), { recursive: true, force: true }));
  const compose = await ensureCompose();
  const about = { allocationId, engineSocket: gateway, registryHost, secrets, compose };
  const configFile = writeConfig(folder, about, agentConfig);
  const { token: joinToken } = await made('POST', '/api/v1/nodes/join-tokens', { allocation_id: allocationId });
  const { code, stdout, stderr } = await enrolment({ folder, url, ca, configFile, token: joinToken });
  if (code !== 0) throw new Error(`enrolment ended with ${code}: ${stdout}${stderr}`);
  const nodeId = JSON.parse(readFileSync(join(folder, 'state/identity/node.json'), 'utf8')).node_id as string;

  const gateSocket = join(folder, 'gate/gate.sock');
  const gate = daemonOf(folder, ['gate', '--config', configFile], {
    ...{ program, logs, isReady: () => existsSync(gateSocket) },
  });
  undo.defer(() => gate.stop('SIGKILL'));
  await gate.start();
  const isConnected = async () => (await made('GET', `/api/v1/nodes/${nodeId}`)).connected === true;
  const run = ['run', '--config', configFile];
  const agent = daemonOf(folder, run, { program, env: environment, logs, isReady: isConnected });
  undo.defer(() => agent.stop('SIGKILL'));
  await agent.start();
  return { allocationId, nodeId, joinToken, configFile, agent, gate };
}

export interface DaemonOptions {
  readonly program?: string | undefined;
  readonly env?: NodeJS.ProcessEnv;
  readonly logs: (() => string)[];
  readonly isReady: () => boolean | Promise<boolean>;
}

/** `node-agent` with these arguments, as often as it is started; a core that it leaves is in the folder. */
export function daemonOf(
  folder: string,
  args: readonly string[],
  { program, env: more, logs, isReady }: DaemonOptions,
): Restartable {
  let running: RunningTask | undefined;
  let ended: Promise<unknown> | undefined;
  return {
    get pid() {
      return running?.child.pid ?? 0;
    },
    start: async () => {
      const env = { ...process.env, ...more };
      const started = startNodeAgent(args, { cwd: folder, env, ...(program === undefined ? {} : { program }) });
      let stderr = '';
      started.child.stderr?.on('data', (text: string) => {
        stderr += text;
      });
      logs.push(() => stderr);
      running = started;
      ended = started.ended;
      await until(isReady, `${args[0]} to be at work`).catch((error: Error) => {
        throw new Error(`${error.message}: ${stderr}`);
      });
    },
    stop: async (signal: NodeJS.Signals = 'SIGTERM') => {
      running?.child.kill(signal);
      await ended;
    },
  };
}

/** `node-agent enroll`, with the join token in a file. */
export async function enrolment({ folder, url, ca, configFile, token }: EnrolmentOptions) {
  const file = join(folder, 'join-token');
  writeFileSync(file, token, { mode: 0o600 });
  const args = ['enroll', '--url', url, '--token-file', file, '--config', configFile, '--json'];
  return await startNodeAgent([...args, ...(ca === undefined ? [] : ['--ca', ca])]).ended;
}

interface EnrolmentOptions extends Pick<HostOptions, 'folder' | 'url' | 'ca'> {
  readonly configFile: string;
  readonly token: string;
}

interface HostConfig {
  readonly allocationId: string;
  readonly engineSocket: string;
  readonly registryHost: string;
  readonly secrets: string;
  /** Folder of Compose. */
  readonly compose: string;
}

/** Beside all folders of a wire: those are the user's, and data of jobs lies only below folders of root. */
function inputsOf(folder: string): string {
  return join(tmpdir(), `${relative(tmpdir(), folder).replaceAll('/', '-')}-inputs`);
}

function writeConfig(
  folder: string,
  { allocationId, engineSocket, registryHost, secrets, compose }: HostConfig,
  over: Partial<AgentConfig>,
): string {
  const user = { uid: 61_902, gid: 61_902, home: join(folder, 'home') };
  mkdirSync(user.home, { mode: 0o755 });
  chownSync(user.home, user.uid, user.gid);
  // Temporary folders are closed to others by default, but the workload's user must get to its home.
  chownSync(folder, user.uid, user.gid);
  const file = join(folder, 'agent.json');
  const config = {
    ...{ state_dir: join(folder, 'state'), run_dir: join(folder, 'run') },
    allocation: { id: allocationId, user },
    gate: {
      ...{ socket: join(folder, 'gate/gate.sock'), state_dir: join(folder, 'gate') },
      engine_socket: engineSocket,
    },
    registries: [{ host: registryHost, prefixes: ['gpuaas-dev'] }],
    ...{ secrets_dir: secrets, telemetry: { port: 0 }, stacks: { plugin_folders: [compose] } },
    reserves: { cpu_cores: 0, memory_gib: 0.5, disk_gib: 0.5 },
    inputs: { dir: inputsOf(folder), allow: ['127.0.0.0/8'] },
    ...over,
  };
  writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
  return file;
}

/**
 * Writes the configuration of a host again, for the same host or one of another allocation in another folder, which is made;
 * returns the file.
 */
export function cloneConfig(configFile: string, folder: string, allocationId?: string): string {
  mkdirSync(folder, { recursive: true });
  const config = JSON.parse(readFileSync(configFile, 'utf8'));
  const file = join(folder, 'agent.json');
  const clone = {
    ...config,
    allocation: { ...config.allocation, id: allocationId ?? config.allocation.id },
    ...{ state_dir: join(folder, 'state'), run_dir: join(folder, 'run'), secrets_dir: `${config.secrets_dir}-clone` },
    gate: { ...config.gate, socket: join(folder, 'gate/gate.sock'), state_dir: join(folder, 'gate') },
  };
  writeFileSync(file, JSON.stringify(clone), { mode: 0o600 });
  return file;
}
