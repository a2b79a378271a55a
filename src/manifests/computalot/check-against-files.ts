/** Holds a manifest against the files that it was pushed with. */
import type { PathError } from '../../contract/validate.ts';
import { each, sure } from '../sure-parts.ts';
import type { ProjectManifest } from './manifest.ts';

/** What is in a tarball. */
export interface Files {
  /** As a program would open it, from the root of the tarball: links followed, `.` and `./x` understood. */
  find(path: string): { readonly type: string } | 'root' | undefined;
}

/** Of a manifest, what says how its image is built. */
export type Built = Pick<ProjectManifest, 'build'>;

/** Its Dockerfile, from the root of the tarball. */
export function dockerfileOf({ build }: Built): string {
  return build?.dockerfile ?? 'Dockerfile';
}

/** The folder that its build sees, from the root of the tarball. */
export function contextOf({ build }: Built): string {
  return build?.context ?? '.';
}

/**
 * Every file and folder that has to be there and is not, of a manifest that is right or of what is sure of one that is not. Files of
 * `validation` are looked for where the tarball has them, at its root or in the context: absolute ones are for the host to find in
 * the image. A `cwd` may be made by the Dockerfile, so that one is refused only where the tarball has something else there.
 */
export function checkAgainstFiles(manifest: ProjectManifest, files: Files): readonly PathError[] {
  const places = (path: string) => [files.find(path), files.find(`${contextOf(manifest)}/${path}`)];
  const isFile = (found: ReturnType<Files['find']>) => typeof found === 'object' && found.type === 'file';
  const isFolder = (found: ReturnType<Files['find']>) => found === 'root' || found?.type === 'directory';
  const told = (path: string, code: string, message: string): PathError[] => [{ path, code, message }];
  const checkFolder = (cwd: string | undefined, path: string) => {
    const found = cwd === undefined ? [] : places(cwd).filter((place) => place !== undefined);
    const isFine = found.length === 0 || found.some(isFolder);
    return isFine ? [] : told(path, 'not_a_folder', 'is no folder in the tarball');
  };
  return [
    ...sure(() =>
      isFile(files.find(dockerfileOf(manifest)))
        ? []
        : told('/build/dockerfile', 'missing_file', 'build.dockerfile does not exist in the tarball'),
    ),
    ...sure(() =>
      isFolder(files.find(contextOf(manifest)))
        ? []
        : told('/build/context', 'missing_folder', 'build.context does not resolve to a directory'),
    ),
    ...sure(() =>
      each(manifest.validation?.files ?? [], (file, index) =>
        file.startsWith('/') || places(file).some(isFile)
          ? []
          : told(`/validation/files/${index}`, 'missing_file', 'is no file of the tarball'),
      ),
    ),
    ...sure(() =>
      each(manifest.runtime.init?.commands ?? [], ({ cwd }, index) =>
        checkFolder(cwd, `/runtime/init/commands/${index}/cwd`),
      ),
    ),
    ...sure(() =>
      each(manifest.runtime.services ?? [], ({ cwd }, index) => checkFolder(cwd, `/runtime/services/${index}/cwd`)),
    ),
  ];
}
