/**
 * Where one quickstart keeps its things, whose they are, and what it is called. Everything is named after the state folder
 * (GPUAAS_DEV_STATE), so that a second quickstart beside the usual one touches nothing of it.
 */
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { run, type UserId } from './processes.ts';
import { isUsualState, stateDir } from './state.ts';

const name = isUsualState()
  ? 'quickstart'
  : `quickstart-${createHash('sha256').update(stateDir()).digest('hex').slice(0, 8)}`;
const folder = join(stateDir(), 'quickstart');
/** In memory: what is in it is gone when the host restarts, and never on a disk. */
const memory = `/dev/shm/gpuaas-${name}`;

export const place = {
  name,
  /** What people type for this very quickstart. */
  command: isUsualState() ? 'npm run quickstart' : `GPUAAS_DEV_STATE=${stateDir()} npm run quickstart`,
  folder,
  configFile: join(folder, 'agent.json'),
  /** A job to try. */
  jobFile: join(folder, 'job.json'),
  /** A project to try. */
  projectDir: join(folder, 'regression'),
  /** Of the control plane. */
  serverDir: join(folder, 'server'),
  /** Of the agent. */
  stateDir: join(folder, 'state'),
  runDir: join(folder, 'run'),
  gateSocket: join(folder, 'gate-run/gate.sock'),
  gateDir: join(folder, 'gate'),
  /** What jobs fetch: of the gate, and in it folders that are the agent's. */
  inputsDir: join(folder, 'inputs'),
  programs: join(folder, 'programs'),
  logs: join(folder, 'logs'),
  /** Whom workloads run as. */
  user: { uid: 61_800, gid: 61_800, home: join(folder, 'home') },
  /** Whom the daemons but the gate run as. Numbers without a name: nothing is added to the machine's users. */
  users: {
    agent: { uid: 61_801, gid: 61_801 },
    controlPlane: { uid: 61_802, gid: 61_802 },
    packageIndex: { uid: 61_803, gid: 61_803 },
  },
  /** Of the gate. */
  secretsDir: join(memory, 'secrets'),
  /** GPUAAS_URL, GPUAAS_TOKEN and GPUAAS_PROJECT, to be sourced by a shell. */
  loginFile: join(memory, 'login'),
  memory,
} as const;

/** Makes sure that every user can get to what is his below the state folder. Throws where the way there is closed. */
export function openTheWay(): void {
  for (let above = dirname(stateDir()); above !== dirname(above); above = dirname(above)) {
    if (!existsSync(above) || (statSync(above).mode & 0o001) !== 0) continue;
    const why = 'Agent and control plane run as ordinary users';
    throw new Error(`${why}, who may not enter ${above}: let GPUAAS_DEV_STATE name another folder.`);
  }
  mkdirSync(folder, { recursive: true });
  for (const own of [stateDir(), folder]) chmodSync(own, statSync(own).mode | 0o011);
}

/** Makes sure that the folder is there and that it, with all that is in it, belongs to the user alone. */
export async function ensureOwned(path: string, { uid, gid }: UserId): Promise<void> {
  mkdirSync(path, { recursive: true });
  chmodSync(path, 0o700);
  if (statSync(path).uid !== uid) await run('chown', ['-hR', `${uid}:${gid}`, path]);
}

export interface Login {
  readonly GPUAAS_URL: string;
  readonly GPUAAS_TOKEN: string;
}

/** Undefined before there was one, and after the host was restarted. */
export function readLogin(): Login | undefined {
  if (!existsSync(place.loginFile)) return undefined;
  const lines = readFileSync(place.loginFile, 'utf8').matchAll(/^export (\w+)='([^']*)'$/gm);
  const { GPUAAS_URL, GPUAAS_TOKEN } = Object.fromEntries([...lines].map(([, key, value]) => [key, value]));
  return GPUAAS_URL && GPUAAS_TOKEN ? { GPUAAS_URL, GPUAAS_TOKEN } : undefined;
}

/** `project` is the one that commands are about where they name none. */
export function writeLogin(login: Login, project?: string): void {
  const values = { ...login, ...(project === undefined ? {} : { GPUAAS_PROJECT: project }) };
  const lines = Object.entries(values).map(([key, value]) => `export ${key}='${value}'\n`);
  writeSecret(place.loginFile, lines.join(''));
}

/** The token of a notebook, which the control plane has shown once; undefined where it is lost. */
export function readNotebookToken(instance: string): string | undefined {
  const file = notebookFile(instance);
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}

export function writeNotebookToken(instance: string, token: string): void {
  writeSecret(notebookFile(instance), token);
}

export function forgetNotebookToken(instance: string): void {
  rmSync(notebookFile(instance), { force: true });
}

const notebookFile = (instance: string) => join(place.memory, `notebook-${instance}`);

function writeSecret(file: string, content: string): void {
  mkdirSync(place.memory, { recursive: true });
  // Nobody else can list it; the doctor, who asks as the agent's user, gets to the folder for secrets that is in it.
  chmodSync(place.memory, 0o711);
  writeFileSync(file, content, { mode: 0o600 });
}
