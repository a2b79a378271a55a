/**
 * One file into a volume of a container that runs, or out of one.
 *
 * In through a container that never starts, as inputs are put into a volume: none of it is written by a program of the image. It
 * is written into the file itself and no link is followed on the way to it; what a program changes meanwhile leads to nothing
 * but files of the job.
 */
import { createReadStream } from 'node:fs';
import { posix } from 'node:path';
import { AgentError } from '../contract/failures.ts';
import { containerName } from '../contract/names.ts';
import { toItsEnd } from '../kit/to-its-end.ts';
import type { ScriptTransfer } from '../policy/script-transfers.ts';
import { createBare, partId } from './bare-container.ts';
import type { BroughtFile, FileOptions } from './inputs/job-inputs.ts';
import { tarOfFile } from './inputs/tar-of.ts';
import { firstIn, takeTar } from './outputs/take-tar.ts';
import type { Part } from './parts.ts';
import type { RunningJob } from './running-job.ts';

export interface TransferOptions extends Pick<FileOptions, 'signal' | 'onBytes'> {
  /** Of the command in its batch. */
  readonly index: number;
}

export interface Transferred {
  readonly bytes: number;
}

export async function carryOutTransfer(
  job: RunningJob,
  part: Part,
  transfer: ScriptTransfer,
  options: TransferOptions,
): Promise<Transferred> {
  const { inputs } = job.ground.jobs;
  if (!inputs) throw new AgentError('task.unsupported', { reason: 'This process transfers no files.' });
  const { signal, onBytes, index } = options;
  const means = { egress: job.plan.egress, signal, onBytes };
  const { url } = transfer;
  if (transfer.isInward) {
    const key = `${job.id} ${job.ground.taskId} ${part.id} ${index} ${url.href}`;
    return await inputs.bring({ url, key }, means, async (file) => await put(job, part, transfer, file, signal));
  }
  const size = await sizeOf(job, part, transfer, signal);
  const fill = async (write: (chunk: Uint8Array) => Promise<void>) => {
    const archive = await open(job, part, transfer, signal);
    await takeTar(archive, write, anySize, (file) => {
      if (file.size !== size) throw changed(transfer);
    });
  };
  await inputs.deliver({ url, size, fill }, means);
  return { bytes: size };
}

const anySize = { bytes: Number.MAX_SAFE_INTEGER, entries: 1, names: 1_000_000 };

/** What the header of it says; nothing else is read. */
async function sizeOf(job: RunningJob, part: Part, transfer: ScriptTransfer, signal: AbortSignal): Promise<number> {
  const { kind, bytes } = await firstIn(await open(job, part, transfer, signal));
  if (kind !== 'file') throw refused(`${transfer.path} is a ${kind}, and one file is transferred.`);
  return bytes;
}

async function open(job: RunningJob, part: Part, { path }: ScriptTransfer, signal: AbortSignal) {
  const archive = await job.ground.engine.getArchive(containerName(job.id, part.id), path, signal);
  if (!archive) throw refused(`There is nothing at ${path}.`);
  return archive;
}

/** A program writes to it still: the next try has its size. */
function changed({ path }: ScriptTransfer): AgentError {
  return new AgentError('output.unsettled', { reason: `${path} was written to meanwhile.` });
}

function refused(reason: string): AgentError {
  return new AgentError('output.refused', { reason });
}

const place = '/volume';

async function put(
  job: RunningJob,
  part: Part,
  { volume, inVolume, path }: ScriptTransfer,
  file: BroughtFile,
  signal: AbortSignal,
): Promise<Transferred> {
  const { engine } = job.ground;
  const image = job.plan.images.find(({ id }) => id === part.image);
  if (!image) throw new Error(`the image of ${part.id} is not there`);
  const from = job.sourceOf(volume);
  const name = await createBare(job, image, {
    ...{ id: partId(job, 'transfer'), mounts: [{ volume, path: place, read_only: false, from }] },
  });
  try {
    const folders = await missingFolders(job, name, { inVolume, path }, signal);
    const content = createReadStream(file.path, { end: Math.max(0, file.bytes - 1) }) as AsyncIterable<Buffer>;
    const tar = tarOfFile({ path: inVolume, size: file.bytes, executable: false, content, folders });
    await engine.putArchive(name, place, tar, signal);
  } finally {
    await engine.remove(name, toItsEnd());
  }
  return { bytes: file.bytes };
}

/** Folders on the way that are to be made. Throws where a link or a file is in the way, or a folder where the file is to be. */
async function missingFolders(
  job: RunningJob,
  container: string,
  { inVolume, path }: Pick<ScriptTransfer, 'inVolume' | 'path'>,
  signal: AbortSignal,
): Promise<string[]> {
  const look = async (inside: string) => {
    const archive = await job.ground.engine.getArchive(container, `${place}/${inside}`, signal);
    return archive && (await firstIn(archive)).kind;
  };
  const kind = await look(inVolume);
  if (kind === 'directory') throw refused(`${path} is a folder, and a file is to be put there.`);
  if (kind !== undefined && kind !== 'file') throw refused(`${path} is a ${kind}, and no file.`);
  if (kind !== undefined) return [];
  const names = inVolume.split('/').slice(0, -1);
  const folders = names.map((_, index) => names.slice(0, index + 1).join('/'));
  for (const [index, folder] of folders.entries()) {
    const found = await look(folder);
    if (found === undefined) return folders.slice(index);
    if (found !== 'directory') {
      throw refused(
        `${posix.join(path.slice(0, path.length - inVolume.length), folder)} is a ${found}, and no folder.`,
      );
    }
  }
  return [];
}
