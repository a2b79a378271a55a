/** What is accepted in a manifest and probably not meant, or means less here than where it comes from. */
import type { PathError } from '../../contract/validate.ts';
import type { ProjectManifest } from './manifest.ts';
import { folderPath } from './paths.ts';

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
    ...(upload.length + outputs.length === 0
      ? [{ path: '', code: 'no_artifacts', message: 'declares no artifacts: nothing of a task is kept but its log' }]
      : []),
  ];
}
