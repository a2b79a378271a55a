/**
 * The gate's key and the folder it lives in.
 *
 * Without the key every container we made is a stranger's, so it is created once, atomically, and never replaced: a
 * key that cannot be used stops the gate with a message instead of disowning what runs.
 */
import { randomBytes } from 'node:crypto';
import { chmod, link, lstat, mkdir, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { AgentError } from '../contract/failures.ts';

const keyBytes = 32;

const sealKeyName = 'seal.key';

/** Makes the state folder (0700) and the key (0600) where they are missing, and returns the key. */
export async function loadSealKey(stateDir: string): Promise<Buffer> {
  await ensurePrivateFolder(stateDir);
  const path = join(stateDir, sealKeyName);
  return (await readKey(path)) ?? (await createKey(stateDir, path));
}

/** The key for a gate that changes nothing. Without one that this user may read, no container is ours: any will do. */
export async function peekSealKey(stateDir: string): Promise<Buffer> {
  return (await readKey(join(stateDir, sealKeyName)).catch(ignoreDenial)) ?? randomBytes(keyBytes);
}

/** A folder that nobody but this process's user can enter. */
export async function ensurePrivateFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  const found = await lstat(path);
  if (!found.isDirectory() || found.uid !== process.getuid?.()) {
    throw unusable(path, 'It must be a folder of the user that the gate runs as.');
  }
  if ((found.mode & 0o077) !== 0) await chmod(path, 0o700);
}

async function readKey(path: string): Promise<Buffer | undefined> {
  const found = await lstat(path).catch(ignoreAbsence);
  if (found === undefined) return undefined;
  if (!found.isFile() || found.uid !== process.getuid?.() || (found.mode & 0o077) !== 0) {
    throw unusable(path, 'It must be a file of mode 0600 of the user that the gate runs as.');
  }
  const file = await open(path, 'r');
  try {
    const key = await file.readFile();
    if (key.length !== keyBytes) {
      throw unusable(path, `It must have ${keyBytes} bytes. Restore it; without it the running workloads are foreign.`);
    }
    return key;
  } finally {
    await file.close();
  }
}

/** Written and synced under another name, then linked: whoever sees the key sees all of it, and only one is made. */
async function createKey(stateDir: string, path: string): Promise<Buffer> {
  const key = randomBytes(keyBytes);
  const draft = join(stateDir, `${sealKeyName}.${randomBytes(6).toString('hex')}`);
  const file = await open(draft, 'wx', 0o600);
  try {
    await file.writeFile(key);
    await file.sync();
    await link(draft, path);
    return key;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    const other = await readKey(path);
    if (other === undefined) throw error;
    return other;
  } finally {
    await file.close();
    await unlink(draft);
  }
}

function ignoreDenial(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'EACCES') throw error;
}

function ignoreAbsence(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}

function unusable(path: string, reason: string): AgentError {
  return new AgentError('config.invalid', { path, reason });
}
