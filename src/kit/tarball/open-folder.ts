/** Makes a tarball of a folder on the disk: links are kept and never followed, and nothing out of it is read. */
import { constants, type Dirent, type Stats } from 'node:fs';
import { lstat, open, readdir, readlink } from 'node:fs/promises';
import { EntryJudge } from './judge-entries.ts';
import { printed } from './judge-path.ts';
import {
  type Contents,
  type Tarball,
  type TarballLimits,
  TarballRefused,
  type TarEntry,
  tarballLimits,
} from './tarball.ts';

const chunkBytes = 128 * 1024;
const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
const slash = Buffer.from('/');
const none = Buffer.alloc(0);

/** Throws `TarballRefused` as `openTarball` does. Contents are read when they are asked for; one that has changed since is refused. */
export async function openFolder(folder: string, limits: TarballLimits = tarballLimits): Promise<Tarball> {
  const judge = new EntryJudge(limits);
  const base = Buffer.from(`${folder}/`);
  const walk = async (inside: Buffer): Promise<void> => {
    const found = await readdir(Buffer.concat([base, inside]), { withFileTypes: true, encoding: 'buffer' });
    for (const entry of found as unknown as Dirent<Buffer>[]) {
      const path = Buffer.concat([inside, entry.name]);
      const isKept = await addOne(judge, path, Buffer.concat([base, path]));
      if (isKept && entry.isDirectory()) await walk(Buffer.concat([path, slash]));
    }
  };
  await walk(none);
  return await judge.finish(async () => contentsOf(folder));
}

async function addOne(judge: EntryJudge, path: Buffer, at: Buffer): Promise<boolean> {
  const stats = await lstat(at);
  const common = { path, mode: stats.mode, offset: 0, size: 0, target: none };
  if (stats.isFile()) return judge.add({ ...common, type: 'file', size: stats.size });
  if (stats.isDirectory()) return judge.add({ ...common, type: 'directory' });
  if (stats.isSymbolicLink()) {
    return judge.add({ ...common, type: 'symlink', target: await readlink(at, { encoding: 'buffer' }) });
  }
  judge.refuse({ path: printed(path), ...oddOf(stats) });
  return false;
}

function oddOf(stats: Stats) {
  if (stats.isFIFO()) return { code: 'entry.fifo', message: 'is a named pipe' } as const;
  return stats.isSocket()
    ? ({ code: 'entry.socket', message: 'is a socket' } as const)
    : ({ code: 'entry.device', message: 'is a device' } as const);
}

function contentsOf(folder: string): Contents {
  return { read: (entry) => readFile(`${folder}/${entry.path}`, entry), close: async () => undefined };
}

async function* readFile(file: string, { path, size }: TarEntry): AsyncGenerator<Uint8Array> {
  const handle = await open(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  try {
    const stats = await handle.stat();
    if (!stats.isFile() || stats.size !== size) throw changed(path);
    for (let done = 0; done < size; ) {
      const length = Math.min(chunkBytes, size - done);
      const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(length), 0, length, done);
      if (bytesRead === 0) throw changed(path);
      yield buffer.subarray(0, bytesRead);
      done += bytesRead;
    }
  } finally {
    await handle.close();
  }
}

function changed(path: string): TarballRefused {
  return new TarballRefused([{ path, code: 'entry.changed', message: 'has changed while it was read' }]);
}
