/**
 * What an operator does before anybody can launch anything: a control plane, a project with an allocation, an image that is
 * vouched for, and a host that serves the allocation. All of it through the public API, by the commands of `gpuaas`.
 *
 * Each step looks before it acts, so all of it may be called again.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname, userInfo } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { probeGpus } from '../../src/host/gpus.ts';
import { callEngine } from './engine-api.ts';
import { GVISOR_RUNTIME } from './gvisor.ts';
import { until } from './processes.ts';
import type { PublishedImage } from './publish.ts';
import { ensureDaemon, portOf, stopDaemon } from './quickstart-daemons.ts';
import { ensureOwned, type Login, place, readLogin, writeLogin } from './quickstart-place.ts';
import { argvOf, ask, circumstances, consolePage, pluginFolder } from './quickstart-programs.ts';
import { sizesOf } from './quickstart-sizes.ts';

const usualPort = 8080;
const usualTelemetryPort = 9464;
const connectSeconds = 60;
const wipeSeconds = 180;

/** Makes sure that the control plane runs and that we have a token for it. */
export async function ensureControlPlane(registryHost: string): Promise<Login> {
  const known = readLogin();
  const port = await portOf('control-plane', usualPort);
  const url = `http://127.0.0.1:${port}`;
  const isKnown = known !== undefined && existsSync(place.serverDir);
  const login = { GPUAAS_URL: url, GPUAAS_TOKEN: isKnown ? known.GPUAAS_TOKEN : await adminToken() };
  writeLogin(login);
  await ensureDaemon({
    ...{ name: 'control-plane', program: 'gpuaas' },
    args: ['serve', '--data-dir', place.serverDir, '--listen', `127.0.0.1:${port}`, '--registry', registryHost],
    env: { APP_RUNTIME_LAUNCHABLE_OCI_NODE_TASKS_ENABLED: 'true' },
    ...{ user: place.users.controlPlane, owns: [place.serverDir], port, reads: consolePage() },
    isReady: () => answers(`${url}/api/v1/environment/capabilities`, login.GPUAAS_TOKEN),
  });
  return login;
}

/**
 * Makes store, keys and an admin token, which this process alone sees: the daemon itself writes its output to a file.
 * A token that was lost, as all are when the host restarts, is replaced by another.
 */
async function adminToken(): Promise<string> {
  const user = place.users.controlPlane;
  await stopDaemon('control-plane');
  await ensureOwned(place.serverDir, user);
  const what = existsSync(join(place.serverDir, 'control-plane.db')) ? '--new-admin-token' : '--init';
  const args = ['serve', what, '--json', '--data-dir', place.serverDir, '--listen', '127.0.0.1:0'];
  const [command, ...rest] = argvOf('gpuaas', args);
  const stdio: ['ignore', 'pipe', 'ignore'] = ['ignore', 'pipe', 'ignore'];
  const child = spawn(command, rest, { ...circumstances({}, user), cwd: '/', stdio });
  const ended = once(child, 'exit');
  let token: string | undefined;
  let failure = 'it says nothing';
  for await (const line of createInterface({ input: child.stdout })) {
    const said = JSON.parse(line) as { admin_token?: string; ready?: boolean; failure?: { message: string } };
    token ??= said.admin_token;
    failure = said.failure?.message ?? failure;
    if (said.ready) child.kill('SIGTERM');
  }
  await ended;
  if (token === undefined) throw new Error(`The control plane gave no token: ${failure}`);
  return token;
}

export interface Tenancy {
  readonly projectId: string;
  readonly allocationId: string;
}

/** Makes sure that there is a project with an active allocation. */
export async function ensureTenancy(login: Login): Promise<Tenancy> {
  const projects = await itemsOf<{ name: string }>(login, 'projects');
  const project =
    projects.find(({ name }) => name === place.name) ??
    (await gpuaas<{ id: string }>(login, ['projects', 'create', place.name]));
  const allocations = await itemsOf<{ project_id: string; state: string }>(login, 'allocations');
  const allocation =
    allocations.find(({ project_id, state }) => project_id === project.id && state === 'active') ??
    (await gpuaas<{ id: string }>(login, [
      ...['allocations', 'create', place.name, '--project', project.id, ...(await sizeOfHost())],
      ...['--ssh', `${process.env['SUDO_USER'] ?? userInfo().username}@${hostname()}`, '--wipe'],
    ]));
  writeLogin(login, project.id);
  return { projectId: project.id, allocationId: allocation.id };
}

/** Ends the allocation, and resolves when its host has nothing of it any more. */
export async function endAllocation(login: Login, id: string): Promise<void> {
  const isEnded = async () => (await gpuaas<{ state: string }>(login, ['allocations', 'show', id])).state === 'ended';
  if (await isEnded()) return;
  await gpuaas(login, ['allocations', 'end', id]);
  if (await until(isEnded, wipeSeconds, 250)) return;
  throw new Error(
    `The host does not say that it has wiped its allocation; its log is ${join(place.logs, 'agent.log')}.`,
  );
}

/** Its cards, and what it has beside the notebook: whoever tries out more finds room for it. */
async function sizeOfHost(): Promise<string[]> {
  const { gpus } = await probeGpus({ path: process.env['PATH'], signal: new AbortController().signal });
  const { cores, gib } = sizesOf().allocation;
  return ['--gpus', `${gpus.length}`, '--cpus', `${cores}`, '--memory', `${gib}`];
}

const mediaType = 'application/vnd.docker.distribution.manifest.v2+json';

/** Makes sure that the image is registered, verified against the registry, and promoted; the id of the artifact. */
export async function ensureArtifact(login: Login, { reference, digest }: PublishedImage): Promise<string> {
  const known = await itemsOf<Artifact>(login, 'artifacts');
  const register = ['artifacts', 'register', 'runtime-cpu', reference, '--media-type', mediaType];
  let artifact =
    known.find((each) => each.digest === digest && each.name === 'runtime-cpu') ??
    (await gpuaas<Artifact>(login, register));
  if (artifact.trust !== 'verified') artifact = await gpuaas(login, ['artifacts', 'verify', artifact.id]);
  if (artifact.trust !== 'verified') throw new Error(`The image is not trusted: ${artifact.verification?.message}`);
  if (artifact.lifecycle === 'published') {
    artifact = await gpuaas(login, ['artifacts', 'promote', artifact.id, '--channel', 'dev']);
  }
  return artifact.id;
}

interface Artifact {
  readonly id: string;
  readonly name: string;
  readonly digest: string;
  readonly lifecycle: string;
  readonly trust: string;
  readonly verification: { readonly message: string } | null;
}

interface HostWith {
  readonly engineSocket: string;
  readonly registryHost: string;
  readonly allocationId: string;
  readonly hasGvisor: boolean;
}

/** Makes sure that this host serves the allocation and is connected: enrolment, gate, agent. Gives the node's id. */
export async function ensureNode(login: Login, wanted: HostWith): Promise<string> {
  const served = servedAllocation();
  if (served !== undefined && served !== wanted.allocationId) {
    throw new Error(`This host serves ${served}, which is gone: ${place.command} -- --down`);
  }
  const port = await portOf('agent', usualTelemetryPort);
  const config = writeConfig(login, wanted, port);
  if (served === undefined) await enrol(login, wanted.allocationId);
  await ensureGate(config);
  const nodeId = readNode()?.node_id ?? '';
  const isConnected = async () => (await showNode(login, nodeId)).connected;
  const args = ['run', '--config', place.configFile];
  await ensureDaemon({
    ...{ name: 'agent', program: 'node-agent', args, reads: config, port },
    ...{ user: place.users.agent, owns: [place.stateDir, place.runDir] },
    isReady: async () => existsSync(join(place.runDir, 'agent.sock')),
  });
  if (!(await until(isConnected, connectSeconds, 250))) {
    throw new Error(`The agent does not reach the control plane; its log is ${join(place.logs, 'agent.log')}.`);
  }
  return nodeId;
}

/** The allocation that this host is a node of; undefined where it is none yet. */
export function servedAllocation(): string | undefined {
  return readNode()?.allocation_id;
}

function readNode(): { readonly node_id: string; readonly allocation_id: string } | undefined {
  const file = join(place.stateDir, 'identity/node.json');
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
}

async function ensureGate(config: string): Promise<void> {
  await ensureDaemon({
    ...{ name: 'gate', program: 'node-agent', args: ['gate', '--config', place.configFile], reads: config },
    isReady: async () => existsSync(place.gateSocket) && (await pings(place.gateSocket)),
  });
}

async function enrol(login: Login, allocationId: string): Promise<void> {
  const { token } = await gpuaas<{ token: string }>(login, ['nodes', 'join-token', allocationId]);
  const args = ['enroll', '--url', login.GPUAAS_URL, '--token-file', '-', '--config', place.configFile];
  const user = place.users.agent;
  await ensureOwned(place.stateDir, user);
  await ask('node-agent', args, 'This host could not be enrolled', { input: token, user });
}

/** As a bootstrap leaves it: root's, with a cache that the agent may write to. */
function makeInputs(folder: string, { gid }: { readonly gid: number }): void {
  for (const [path, mode] of [[folder, 0o750] as const, [join(folder, 'cache'), 0o770] as const]) {
    mkdirSync(path, { recursive: true });
    chownSync(path, 0, gid);
    chmodSync(path, mode);
  }
}

/** The configuration as text. */
function writeConfig(login: Login, host: HostWith, port: number): string {
  const { engineSocket, registryHost, allocationId, hasGvisor } = host;
  const { user } = place;
  mkdirSync(user.home, { recursive: true, mode: 0o755 });
  chownSync(user.home, user.uid, user.gid);
  makeInputs(place.inputsDir, place.users.agent);
  const config = {
    ...{ state_dir: place.stateDir, run_dir: place.runDir },
    allocation: { id: allocationId, user },
    control_plane: { url: login.GPUAAS_URL },
    gate: {
      ...{ socket: place.gateSocket, socket_gid: place.users.agent.gid },
      ...{ state_dir: place.gateDir, engine_socket: engineSocket },
    },
    registries: [{ host: registryHost, prefixes: ['gpuaas-dev'] }],
    sandboxes: { runc: 'runc', ...(hasGvisor && { gvisor: GVISOR_RUNTIME }) },
    builds: { cpu_cores: 1, memory_gib: 1, context_gib: 1 },
    payloads: { max_gib: 2, unpacked_gib: 4 },
    secrets_dir: place.secretsDir,
    inputs: { dir: place.inputsDir },
    stacks: { plugin_folders: [pluginFolder] },
    telemetry: { port },
  };
  const text = `${JSON.stringify(config, null, 2)}\n`;
  writeFileSync(place.configFile, text);
  // No secret is in it, and the agent has to read it.
  chmodSync(place.configFile, 0o644);
  return text;
}

/** Runs a command of `gpuaas` with the quickstart's token. */
export async function gpuaas<T>(login: Login, args: readonly string[]): Promise<T> {
  const complaint = `gpuaas ${args.slice(0, 2).join(' ')}`;
  return (await ask('gpuaas', args, complaint, { env: { ...login } })) as T;
}

export async function itemsOf<T>(login: Login, ...words: readonly string[]): Promise<(T & { readonly id: string })[]> {
  return (await gpuaas<{ items: (T & { id: string })[] }>(login, [...words, 'list'])).items;
}

async function showNode(login: Login, id: string): Promise<{ connected: boolean }> {
  return await gpuaas(login, ['nodes', 'show', id]);
}

async function pings(socketPath: string): Promise<boolean> {
  const answer = await callEngine({ socketPath, method: 'GET', path: '/_ping' }).catch(() => undefined);
  return answer?.status === 200;
}

/** Whether something answers there, to who has the token. */
export async function answers(url: string, token?: string): Promise<boolean> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const answer = await fetch(url, { headers, signal: AbortSignal.timeout(5000) }).catch(() => undefined);
  return answer?.status === 200;
}
