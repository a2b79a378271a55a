/** What is accepted in a manifest and probably not meant, or means less here than where it comes from. */
import type { PathError } from '../../contract/validate.ts';
import type { ProjectManifest } from './manifest.ts';
import { folderPath } from './paths.ts';
import { needsOf } from './requirements.ts';
import { shareOf } from './to-plan.ts';

const hidden = { code: 'hides_workdir', message: 'hides what the image has in runtime.workdir' };

export function warnAbout({
  runtime,
  cache_mounts = [],
  data_sources = [],
  requirements = {},
  artifacts = {},
}: ProjectManifest): PathError[] {
  const workdir = `${folderPath(runtime.workdir)}/`;
  const { upload = [], outputs = [] } = artifacts;
  const beside = runtime.services?.length ?? 0;
  const hidesWorkdir = (path: string) => workdir.startsWith(`${folderPath(path)}/`);
  return [
    ...cache_mounts.flatMap(({ path, seed_from_image: isSeeded = false }, index) =>
      isSeeded || !hidesWorkdir(path)
        ? []
        : [{ ...hidden, path: `/cache_mounts/${index}/path`, message: `${hidden.message}; seed_from_image keeps it` }],
    ),
    ...data_sources.flatMap(({ path }, index) =>
      hidesWorkdir(path) ? [{ ...hidden, path: `/data_sources/${index}/path` }] : [],
    ),
    ...Object.entries({ upload, outputs }).flatMap(([list, kept]) =>
      kept.flatMap(({ path }, index) =>
        kept.findIndex((other) => other.path === path) < index
          ? [{ path: `/artifacts/${list}/${index}/path`, code: 'repeated', message: 'is kept by another name as well' }]
          : [],
      ),
    ),
    ...(requirements.gpu_memory_mb !== undefined && requirements.gpu_count === 0
      ? [{ path: '/requirements/gpu_memory_mb', code: 'ignored', message: 'has no effect: no card is asked for' }]
      : []),
    ...(beside > 0 && requirements.memory_mb !== undefined
      ? [{ path: '/requirements/memory_mb', code: 'shared', message: inParts(requirements.memory_mb, beside) }]
      : []),
    ...(beside > 0 && needsOf(requirements).gpu_count > 0
      ? [{ path: '/requirements', code: 'no_cards', message: 'asks for cards, which its task has: services have none' }]
      : []),
    ...(upload.length + outputs.length === 0
      ? [{ path: '', code: 'no_artifacts', message: 'declares no artifacts: nothing of a task is kept but its log' }]
      : []),
  ];
}

function inParts(memoryMb: number, services: number): string {
  const { step } = shareOf({ gpu_count: 0, cpu_cores: 1, memory_gib: memoryMb / 1024 }, services);
  const others = services === 1 ? 'its service' : `its ${services} services`;
  return `is for the task and ${others} together, in equal parts: ${step.memory_gib * 1024} for each`;
}
