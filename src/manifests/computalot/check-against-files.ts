/** Holds a manifest against the files that it was pushed with. */
import type { PathError } from '../../contract/validate.ts';
import type { ProjectManifest } from './manifest.ts';

/** What is in a tarball. */
export interface Files {
  /** As a program would open it, from the root of the tarball: links followed, `.` and `./x` understood. */
  find(path: string): { readonly type: string } | 'root' | undefined;
}

/** Its Dockerfile, from the root of the tarball. */
export function dockerfileOf({ build }: ProjectManifest): string {
  return build?.dockerfile ?? 'Dockerfile';
}

/** The folder that its build sees, from the root of the tarball. */
export function contextOf({ build }: ProjectManifest): string {
  return build?.context ?? '.';
}

/**
 * Every file and folder that has to be there and is not. Only for a manifest that `readManifest` has accepted. Files of
 * `validation` are looked for where the tarball has them, at its root or in the context: absolute ones are for the host to find in
 * the image. A `cwd` may be made by the Dockerfile, so that one is refused only where the tarball has something else there.
 */
export function checkAgainstFiles(manifest: ProjectManifest, files: Files): readonly PathError[] {
  const context = contextOf(manifest);
  const places = (path: string) => [files.find(path), files.find(`${context}/${path}`)];
  const isFile = (found: ReturnType<Files['find']>) => typeof found === 'object' && found.type === 'file';
  const isFolder = (found: ReturnType<Files['find']>) => found === 'root' || found?.type === 'directory';
  const { services = [], init } = manifest.runtime;
  const folders = [
    ...(init?.commands ?? []).map(({ cwd }, index) => ({ cwd, path: `/runtime/init/commands/${index}/cwd` })),
    ...services.map(({ cwd }, index) => ({ cwd, path: `/runtime/services/${index}/cwd` })),
  ];
  return [
    ...(isFile(files.find(dockerfileOf(manifest)))
      ? []
      : [
          {
            path: '/build/dockerfile',
            code: 'missing_file',
            message: 'build.dockerfile does not exist in the tarball',
          },
        ]),
    ...(isFolder(files.find(context))
      ? []
      : [{ path: '/build/context', code: 'missing_folder', message: 'build.context does not resolve to a directory' }]),
    ...(manifest.validation?.files ?? []).flatMap((file, index) =>
      file.startsWith('/') || places(file).some(isFile)
        ? []
        : [{ path: `/validation/files/${index}`, code: 'missing_file', message: 'is no file of the tarball' }],
    ),
    ...folders.flatMap(({ cwd, path }) => {
      const found = cwd === undefined ? [] : places(cwd).filter((place) => place !== undefined);
      return found.length === 0 || found.some(isFolder)
        ? []
        : [{ path, code: 'not_a_folder', message: 'is no folder in the tarball' }];
    }),
  ];
}
