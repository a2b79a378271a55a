/**
 * Where the development ground keeps its things, and how two processes take turns with them.
 *
 * - cache: everything that can be made again at a cost of minutes (the engine's data, the registry's blobs,
 *   downloaded packages, image records).
 * - state: what is running now and what was installed (pids, ports, logs, sockets of locks).
 *
 * A lock is held by a child `flock`, so that the kernel releases it however its owner ends.
 */
import { spawn } from 'node:child_process';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const USUAL_STATE = '/var/lib/gpuaas-dev';

/** Folder for what may be deleted at any time and made again. Another state folder has a cache of its own. */
export function cacheDir(): string {
  const usual = isUsualState() ? '/var/cache/gpuaas-node-agent/dev' : join(stateDir(), 'cache');
  return process.env['GPUAAS_DEV_CACHE'] ?? usual;
}

/** Folder for what is running now and what was installed on this machine. */
export function stateDir(): string {
  return process.env['GPUAAS_DEV_STATE'] ?? USUAL_STATE;
}

/** False where GPUAAS_DEV_STATE puts a second ground beside the usual one. */
export function isUsualState(): boolean {
  return stateDir() === USUAL_STATE;
}

/** Reads a JSON record written by {@link writeRecord}; `undefined` when there is none. */
export async function readRecord<T>(path: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as T;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new Error(`The record ${path} cannot be read. Delete it and run again.`, { cause: error });
  }
}

/** Replaces a JSON record in one step: a reader sees the old one or the new one, never half of one. */
export async function writeRecord(path: string, value: unknown): Promise<void> {
  const draft = `${path}.${process.pid}.${crypto.randomUUID()}`;
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(draft, `${JSON.stringify(value, null, 2)}\n`);
  await rename(draft, path);
}

/** Runs `work` while no other process (nor another call in this one) runs work under the same name. */
export async function withLock<T>(name: string, work: () => Promise<T>): Promise<T> {
  const release = await acquire(name);
  try {
    return await work();
  } finally {
    await release();
  }
}

/** `cat` gives the byte back only once `flock` has the lock; when this process dies its stdin closes and it ends. */
async function acquire(name: string): Promise<() => Promise<void>> {
  const folder = join(stateDir(), 'locks');
  await mkdir(folder, { recursive: true });
  const holder = spawn('flock', ['--exclusive', join(folder, name), 'cat'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise<void>((resolve) => holder.once('close', () => resolve()));

  await new Promise<void>((resolve, reject) => {
    holder.stdout.once('data', () => resolve());
    holder.once('error', reject);
    holder.once('exit', (code) => reject(new Error(`flock ended with ${code} before it held the lock ${name}`)));
    holder.stdin.write('.');
  });
  return async () => {
    holder.stdin.end();
    await ended;
  };
}
