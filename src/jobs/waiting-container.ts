/**
 * What makes the container of a script wait for its commands: a program of ours in a volume of the job, mounted to be read. So
 * it is there whatever the image has, and no command can change it.
 */
import { toItsEnd } from '../kit/to-its-end.ts';
import { isWithin } from '../policy/mounts.ts';
import type { JobPartMount } from '../policy/render-job-container.ts';
import { createBare, partId } from './bare-container.ts';
import { tarOfFile } from './inputs/tar-of.ts';
import type { Part } from './parts.ts';
import type { RunningJob } from './running-job.ts';
import { waitingProgram } from './waiting-program.ts';

export interface Waiting {
  readonly entrypoint: readonly string[];
  readonly mount: JobPartMount;
}

const file = 'wait';

/** Puts the program where it is to be, unless that was done. */
export async function ensureWaiting(job: RunningJob, part: Part): Promise<Waiting> {
  const volume = unusedName(job);
  const path = unusedPath(part);
  if (!job.record.filled.includes(volume)) await fill(job, part, volume);
  return { entrypoint: [`${path}/${file}`], mount: { volume, path, read_only: true, from: 'volume' } };
}

async function fill(job: RunningJob, part: Part, volume: string): Promise<void> {
  const { engine } = job.ground;
  const image = job.plan.images.find(({ id }) => id === part.image);
  if (!image) throw new Error(`the image of ${part.id} is not there`);
  const path = '/volume';
  const mounts = [{ volume, path, read_only: false, from: 'volume' as const }];
  const name = await createBare(job, image, { id: partId(job, 'wait'), mounts });
  try {
    const program = waitingProgram(process.arch === 'arm64' ? 'arm64' : 'x64');
    const content = (async function* () {
      yield program;
    })();
    const tar = tarOfFile({ path: file, size: program.length, executable: true, content, folders: [] });
    await engine.putArchive(name, path, tar, toItsEnd());
  } finally {
    await engine.remove(name, toItsEnd());
  }
  job.update({ filled: [...job.record.filled, volume] });
}

/** None of the plan has it. */
function unusedName({ plan }: RunningJob): string {
  const names = new Set([...plan.volumes, ...(plan.caches ?? [])].map(({ name }) => name));
  for (let number = 0; ; number += 1) {
    const name = `gpuaas-wait-${number}`;
    if (!names.has(name)) return name;
  }
}

/** In no volume of the container, and over none. */
function unusedPath({ mounts }: Part): string {
  for (let number = 0; ; number += 1) {
    const path = `/.gpuaas-wait-${number}`;
    if (!mounts.some((mount) => isWithin(mount.path, path) || isWithin(path, mount.path))) return path;
  }
}
