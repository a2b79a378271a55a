/** What is accepted in a manifest and probably not meant, or means less here than where it comes from. */
import type { PathError } from '../../contract/validate.ts';
import type { ProjectManifest } from './manifest.ts';
import { folderPath } from './paths.ts';

export function warnAbout({
  runtime,
  cache_mounts = [],
  requirements = {},
  artifacts = {},
}: ProjectManifest): PathError[] {
  const workdir = `${folderPath(runtime.workdir)}/`;
  const { upload = [], outputs = [] } = artifacts;
  return [
    ...cache_mounts.flatMap(({ path, seed_from_image: isSeeded = false }, index) =>
      !isSeeded && workdir.startsWith(`${folderPath(path)}/`)
        ? [
            {
              path: `/cache_mounts/${index}/path`,
              code: 'hides_workdir',
              message: 'hides what the image has in runtime.workdir; seed_from_image keeps it',
            },
          ]
        : [],
    ),
    ...(requirements.gpu_memory_mb !== undefined && requirements.gpu_count === 0
      ? [{ path: '/requirements/gpu_memory_mb', code: 'ignored', message: 'has no effect: no card is asked for' }]
      : []),
    ...(upload.length + outputs.length === 0
      ? [{ path: '', code: 'no_artifacts', message: 'declares no artifacts: nothing of a task is kept but its log' }]
      : []),
  ];
}
