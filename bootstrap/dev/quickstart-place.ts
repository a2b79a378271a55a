/**
 * Where one quickstart keeps its things and what it is called. Everything is named after the state folder
 * (GPUAAS_DEV_STATE), so that a second quickstart beside the usual one touches nothing of it.
 */
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isUsualState, stateDir } from './state.ts';

const name = isUsualState()
  ? 'quickstart'
  : `quickstart-${createHash('sha256').update(stateDir()).digest('hex').slice(0, 8)}`;
const folder = join(stateDir(), 'quickstart');
/** In memory: what is in it is gone when the host restarts, and never on a disk. */
const memory = `/dev/shm/gpuaas-${name}`;

export const place = {
  name,
  folder,
  configFile: join(folder, 'agent.json'),
  serverDir: join(folder, 'server'),
  logs: join(folder, 'logs'),
  user: { uid: 61800, gid: 61800, home: join(folder, 'home') },
  /** Of the gate. */
  secretsDir: join(memory, 'secrets'),
  /** GPUAAS_URL and GPUAAS_TOKEN, to be sourced by a shell. */
  loginFile: join(memory, 'login'),
  memory,
} as const;

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

export function writeLogin(login: Login): void {
  const lines = Object.entries(login).map(([key, value]) => `export ${key}='${value}'\n`);
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
  mkdirSync(place.memory, { recursive: true, mode: 0o700 });
  chmodSync(place.memory, 0o700);
  writeFileSync(file, content, { mode: 0o600 });
}
